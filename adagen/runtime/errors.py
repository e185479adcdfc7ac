"""The one exception a user is meant to read."""


class AdagenError(Exception):
    """A mistake in the input: the message names the file and key, what was expected and what to do.

    The command line prints the message as one paragraph and exits with status 2; a traceback is
    reserved for faults of our own.
    """
