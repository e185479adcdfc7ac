"""Data sets of real images, folders of samples, and released files."""
