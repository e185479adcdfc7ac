"""The stages: each reads files, does one thing, and writes files.

The command line and the workflow's rules are thin wrappers around these.
"""
