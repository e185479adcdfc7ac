"""Sampling: the rollout, draws, refinement."""
