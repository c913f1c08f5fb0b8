"""The preset best: every pair by its likelihood, exact assignment, tracks judged as a whole."""
