"""What the paper claims. Imports nothing, so that the tracker loads without TensorFlow."""
