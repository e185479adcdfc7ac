"""Metrics in the spaces of small networks that are fitted here."""
