"""Frozen backbones and decoders, one architecture a file, keys as in the released checkpoints."""
