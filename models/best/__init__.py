"""The preset best: expected positions, exact assignment, evidence measured on the video."""
