"""Metrics in the space of Inception, by the published protocols."""
