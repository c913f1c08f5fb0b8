"""Pixel embeddings (thesis, chapter 6)."""
