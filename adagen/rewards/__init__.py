"""Rewards: how good a finished image is, for a policy to learn from."""
