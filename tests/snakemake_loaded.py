"""Imported by the server of `snakemake_call.py`: what every call of Snakemake would do again."""

from snakemake.cli import get_argument_parser

get_argument_parser()  # finds and imports all plugins, which registries then keep
