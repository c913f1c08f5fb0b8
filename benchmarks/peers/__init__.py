"""Trackers of packages that have environments of their own, as rows of `compare_trackers`."""
