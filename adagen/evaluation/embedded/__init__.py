"""The protocol `embedded`: metrics in the spaces of small networks fitted to the data set."""
