"""The one error that is the user's to correct."""

from __future__ import annotations


class UserError(Exception):
    """Something in the user's files, configuration or machine keeps the work from going on.

    The message stands by itself, without a traceback: what was found and where (file, row, column,
    value), what was expected, and what to do. The command line prints it as it is.
    """
