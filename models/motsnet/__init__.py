"""MOTSNet (Porzi et al., CVPR 2020)."""
