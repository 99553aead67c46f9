"""Ids that stand for nobody: what programs write where an id is missing, and one with most of the rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.files.numbers import NULL_WORDS
from pipeline.check_data.report import Finding

NOBODIES = frozenset(
    (
        *NULL_WORDS,
        *("n.a.", "unknown", "anonymous", "anon", "guest", "missing", "test"),
        *("-", "--", "-1", "0", "00000000-0000-0000-0000-000000000000"),
    )
)
"""Ids (lower case, without blanks around) that hardly are one user's or one item's."""

_SHARE, _TIMES, _TIMES_SECOND, _FEWEST_QUERIES = 0.05, 50, 3, 20


def about_nobodies(key: str, column: str, ids: pa.ChunkedArray, alone: bool = True) -> Iterator[Finding]:
    """On ids that many rows without one may share.

    Args:
        key: Section and key that name the column, such as ``interactions.query_id``.
        column: Its name.
        ids: [n] ids of usable rows, one at least.
        alone: Whether an id with most of the rows is told, too: a bestseller may have them.
    """
    counted = pc.value_counts(ids)
    names, counts = counted.field("values"), counted.field("counts").to_numpy()
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(names))
    nobody = pc.is_in(plain, value_set=pa.array(sorted(NOBODIES))).to_numpy(zero_copy_only=False)
    # A catalogue or log that counts from 0 has a 0 as good as 1.
    share = counts / len(ids)
    zero = pc.equal(plain, "0").to_numpy(zero_copy_only=False)
    nobody &= ~zero | (counts > 3 * np.median(counts))
    blank = pc.equal(pc.binary_length(plain), 0).to_numpy(zero_copy_only=False)
    suspects = np.flatnonzero(nobody | blank)
    suspects = suspects[np.argsort(-counts[suspects], kind="stable")]
    if len(suspects):
        found = [names[int(at)].as_py() for at in suspects[:5]]
        shown = ", ".join(f"{name!r} ({share[at]:.1%})" for name, at in zip(found, suspects[:5], strict=True))
        listed = ", ".join(f'"{name}"' for name in found)
        yield Finding(
            level="warning",
            about=key,
            message=f"interactions are of {shown}: is that nobody? Such ids come from missing ones, and are "
            f"trained on as one. Leave these rows out with where: {{{column}: {{not: [{listed}]}}}}.",
        )
    if not alone or len(counts) < _FEWEST_QUERIES:
        return
    second, first = np.sort(counts)[-2:]
    at = int(counts.argmax())
    most = share[at] > _SHARE and first > _TIMES * np.median(counts) and first > _TIMES_SECOND * second
    if most and at not in suspects:
        name = names[at].as_py()
        yield Finding(
            level="warning",
            about=key,
            message=f"{share[at]:.1%} of the interactions are of {name!r} alone, more than {_TIMES} times as "
            "many as at the median: is that one user, or everybody without an id? Leave these rows out with "
            f'where: {{{column}: {{not: ["{name}"]}}}}.',
        )
