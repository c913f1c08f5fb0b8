"""Ways to associate that belong to no paper: mask IoU and given ids."""
