"""Heatmaps that carry their own score."""
