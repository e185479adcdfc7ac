"""The cost of a run, counted before anything of it runs (docs/planning.md)."""
