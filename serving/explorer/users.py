"""What a server is told about the users of its model: it has no event log of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving.model_files import ModelFiles


@dataclass(frozen=True)
class UserRecord:
    """One user, as the data have it.

    Attributes:
        known: Whether the data know the user.
        query: Feature to value, history included, as :func:`serving.queries.batch_of` takes them.
        seen: Every candidate the user had interacted with.
    """

    known: bool
    query: Mapping[str, Any]
    seen: Sequence[str]


UserLookup = Callable[[ModelFiles, str, int | None], UserRecord]
"""Looks a user up for a version, whose declaration says where the data are, as of a moment (seconds since
1970 UTC; None: the end of the log). Raises ModelError if they cannot be read. Any thread may call it."""


@dataclass(frozen=True)
class Explorer:
    """What the explorer shows.

    Attributes:
        model: Name of the model.
        look_up: Where users' histories come from; None where there is no log: then they are typed.
        exclude_seen: Whether what a user has met is left out of the lists until the page is told otherwise.
    """

    model: str
    look_up: UserLookup | None = None
    exclude_seen: bool = True
