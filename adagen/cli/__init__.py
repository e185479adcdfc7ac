"""`adagen <command>`: every stage by hand, and what every workflow rule calls.

A command and what it does stand in one file. What imports torch is imported by the function that
needs it, so that `adagen --help`, and a mistake in an option or the configuration, answer at once.
"""


def main() -> None:
    """Entry point of the command line."""
    from adagen.cli.main import main

    main()
