"""Every detection and result format, one file each, and their registry."""
