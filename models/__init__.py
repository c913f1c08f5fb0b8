"""The papers' methods, a folder each, and the one way from detections to tracks."""
