"""From detections to tracks: sources, the run, what it writes; and tracking from Python."""
