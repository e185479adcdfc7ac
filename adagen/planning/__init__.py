"""What a run will cost, before anything of it runs (docs/planning.md)."""
