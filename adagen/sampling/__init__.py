"""Sampling: the rollout, the sampler around it, refinement by choosing among candidates."""
