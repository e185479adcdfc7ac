"""adagen: learned, sample-adaptive generation policies for multi-step image generators.

An implementation of AdaGen (Ni et al., TPAMI 2025, arXiv 2603.06993), training included.
"""

__version__ = "0.1.0"
