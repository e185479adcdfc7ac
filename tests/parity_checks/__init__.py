"""Golden files against adagen: one module a topic, each with its CHECKS by name of the file."""
