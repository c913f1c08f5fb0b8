"""ReMOTS (Yang et al., 2020)."""
