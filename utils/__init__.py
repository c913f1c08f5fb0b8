"""What the paper takes for granted: data, formats, masks, scores, pictures."""
