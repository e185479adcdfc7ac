"""Tables and figures, made from the files of a run and from nothing else."""
