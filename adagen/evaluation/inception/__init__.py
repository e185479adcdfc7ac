"""The published protocols: metrics in the space of a released Inception network."""
