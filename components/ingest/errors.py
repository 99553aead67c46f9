"""Errors whose message is meant for the person who runs the pipeline."""


class UserError(Exception):
    """Something only the user can mend: the message says what was found, what was expected, what to do."""
