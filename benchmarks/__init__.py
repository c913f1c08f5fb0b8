"""Ratios of two things timed in one run; no absolute claims."""
