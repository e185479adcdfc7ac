"""Policies: networks, tables and the files they are kept in."""
