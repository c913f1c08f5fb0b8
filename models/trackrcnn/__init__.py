"""TrackR-CNN (Voigtlaender et al., CVPR 2019)."""
