"""Rewards: what a policy is paid for a finished image."""
