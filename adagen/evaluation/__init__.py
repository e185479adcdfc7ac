"""Metrics of generated images, and their cost."""
