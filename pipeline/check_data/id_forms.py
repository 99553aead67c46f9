"""Ids of one column that look like one thing written in several ways, or like damage."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.check_data.report import Finding

_UNSEEN = r"[\x00-\x1f\x7f\x{ad}\x{200b}\x{2060}\x{feff}]"
"""Control characters, line breaks among them, and others that nobody sees."""
_OF_A_SPREADSHEET = r"^\d(?:[.,]\d+)?E\+\d+$"
_LEADING_ZEROS = r"^0+(\d+)$"
_KEYS = {
    "leading zeros": "Set clean: {{{column}: {{leading_zeros: drop}}}} on the tables if these are one.",
    "Unicode forms (NFC and NFD)": "Write the column of each table in one of them, if these are one.",
}
"""How two ids that look alike differ, and what to do."""


def about_id_forms(key: str, column: str, ids: pa.Array) -> Iterator[Finding]:
    """Tell ids that are written in several ways, or that a program has damaged; once for each kind.

    Args:
        key: Section and key that name the column, such as ``interactions.query_id``.
        column: Its name.
        ids: [n] different ids.
    """
    for message in _faults(column, ids):
        yield Finding(level="warning", about=key, message=message)


def _faults(column: str, ids: pa.Array) -> Iterator[str]:
    trimmed = pc.utf8_trim_whitespace(ids)
    padded = _where(pc.not_equal(trimmed, ids))
    if len(padded):
        both = pc.is_in(trimmed.take(padded), value_set=ids)
        beside = _where(both)
        at = padded[int(beside[0])] if len(beside) else padded[0]
        found = f"{len(padded):,} ids have blanks around them, such as {ids[int(at)].as_py()!r}"
        found += f" beside {trimmed[int(at)].as_py()!r}, which is another one" if len(beside) else ""
        yield f"{found}. Set clean: {{{column}: {{trim: true}}}} on the tables."
    digits = ids.filter(pc.match_substring_regex(ids, pattern=_LEADING_ZEROS))
    bare = pc.replace_substring_regex(digits, pattern=r"^0+(\d)", replacement=r"\1")
    yield from _twins("leading zeros", column, digits, bare, ids)
    foreign = ids.filter(pc.invert(pc.string_is_ascii(ids)))
    composed = pc.utf8_normalize(foreign, form="NFC")
    changed = pc.not_equal(composed, foreign)
    forms = "Unicode forms (NFC and NFD)"
    yield from _twins(forms, column, foreign.filter(changed), composed.filter(changed), ids)
    unseen = ids.filter(pc.match_substring_regex(ids, pattern=_UNSEEN))
    if len(unseen):
        yield (
            f"{len(unseen):,} ids hold a character that nobody sees, such as {unseen[0].as_py()!r}. They are "
            "ids as good as others, and a request must write them so; if they come of a mistake, correct the "
            "program that writes the column."
        )
    rounded = ids.filter(pc.match_substring_regex(ids, pattern=_OF_A_SPREADSHEET))
    if len(rounded):
        yield (
            f"{len(rounded):,} ids are written as {rounded[0].as_py()!r}: a spreadsheet has rounded long "
            "numbers, so that different ids have become one. Write the column again as text from its source."
        )


def _twins(how: str, column: str, written: pa.Array, plain: pa.Array, ids: pa.Array) -> Iterator[str]:
    """Tell that some ids in another form are ids, too."""
    at = _where(pc.is_in(plain, value_set=ids))
    if len(at):
        one, other = (values[int(at[0])].as_py() for values in (written, plain))
        yield (
            f"{len(at):,} ids differ from another one in {how} alone, such as {one!r} ({one!a}) and "
            f"{other!r}: they are trained on as two. {_KEYS[how].format(column=column)}"
        )


def _where(mask: pa.Array) -> np.ndarray:
    """[k] places where a mask is true."""
    return np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))
