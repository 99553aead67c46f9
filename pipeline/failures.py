"""Finds, in whatever a library has made of it, the error that speaks to the user."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator

from components.ingest.errors import UserError

_WHILE_RUNNING = re.compile(r"\s*\[while running '[^']*'\]")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_IN_WORDS = ("No space left on device", "Disk quota exceeded", "database or disk is full")
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR)
_TRACEBACK_GOES_ON = re.compile(
    r"\n\n(?:During handling of the above exception|The above exception was the direct cause|Traceback )"
)


def explain(error: BaseException) -> tuple[str, bool]:
    """What to tell the user about an error.

    Args:
        error: As caught round a step.

    Returns:
        The message, and whether it comes from a :class:`UserError`: then it is complete by itself; else
        it is the exception in one line, and the traceback in the log has the rest.
    """
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, UserError):
            return _WHILE_RUNNING.sub("", str(link)).strip(), True
    for link in chain:
        message = _user_error_in_text(str(link)) or advice_on_files(link)
        if message:
            return message, True
    return _one_line(error), False


def advice_on_files(error: BaseException) -> str | None:
    """What to do about a file system that refuses; None where the error is of another kind.

    Libraries often pass an error on as text, so a full disk is told from that, too.
    """
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)
    if number in _FULL or any(words in text for words in _FULL_IN_WORDS):
        return (
            f"the disk is full: {_one_line(error)}. Expected room for the run's root and for temporary files "
            "(TMPDIR). Free some or name a --root on another disk; then run again: finished steps are reused."
        )
    if number in _REFUSED and isinstance(error, OSError) and error.filename is not None:
        return (
            f"{os.fsdecode(error.filename)}: {error.strerror}. Expected a place that this process may use. "
            "Change its permissions, remove what stands in the way, or name another place."
        )
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it was raised from or while handling, and the members of groups."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [link for link in (current.__cause__, current.__context__) if link is not None]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions


def _user_error_in_text(text: str) -> str | None:
    """A UserError's message out of a traceback that Beam has turned into another exception's text."""
    names = "|".join(re.escape(f"{kind.__module__}.{kind.__qualname__}") for kind in _kinds(UserError))
    found = re.search(rf"^(?:{names}): ", text, flags=re.MULTILINE)
    if not found:
        return None
    message = _TRACEBACK_GOES_ON.split(text[found.end() :], maxsplit=1)[0]
    return _WHILE_RUNNING.sub("", message).strip()


def _kinds(base: type[BaseException]) -> Iterator[type[BaseException]]:
    yield base
    for kind in base.__subclasses__():
        yield from _kinds(kind)


def _one_line(error: BaseException) -> str:
    """``Type: message``; of a traceback in the message only its last line, which names the cause."""
    text = str(error).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if "Traceback (most recent call last)" in text:
        return lines[-1]
    return f"{type(error).__name__}: {lines[0]}"
