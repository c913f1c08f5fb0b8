"""What the networks that see frames share: layers, data, losses, training, files."""
