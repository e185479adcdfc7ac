"""Benchmarks: what adagen takes, as ratios that are measured in one run (benchmarks/README.md)."""
