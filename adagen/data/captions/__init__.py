"""Captions and the images that they describe: files of captions, and embeddings of a list."""
