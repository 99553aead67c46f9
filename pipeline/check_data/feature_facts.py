"""Declared features beside the values they get."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.features import (
    EmbeddingFeature,
    Feature,
    HashFeature,
    MultivalentFeature,
    NumericFeature,
    TextFeature,
    TimestampFeature,
    VocabularyFeature,
)
from pipeline.check_data.report import FeatureFacts, Finding, Level

_LOOKED_AT = 200_000
"""Cells of a column whose words are counted."""
_WORD_SEPARATORS = r"[^\pL\pN]+"
_COVERED = 0.9
_CUT = 0.1
_FLAT = 0.01
_WHOLE_WITH_FRACTION = r"^[+-]?\d+\.0+$"
_SENTINEL_SHARE, _SENTINEL_DISTINCT, _SENTINEL_FAR = 0.005, 5, 3.0
_SENTINEL = r"-1|-?9{3,}(?:\.9+)?|-?9{2,}0{2,}|-?(?:32768|32767|2147483647|2147483648)"
"""How numbers that programs write for a missing one look."""


def feature_facts(
    table: str, name: str, feature: Feature, values: pa.ChunkedArray
) -> tuple[FeatureFacts, list[Finding]]:
    """Looks at a column of a declared feature.

    Args:
        table: ``interactions``, ``candidates`` or ``queries``.
        name: The feature.
        feature: Its declaration.
        values: [n] values as ingestion converts them, null where missing; one at least.
    """
    section = "interactions.context" if table == "interactions" else f"{table}.features"
    missing = values.null_count / len(values)
    looked = _Look(f"{section}.{name}", values.drop_null())
    distinct, seen = looked.at(feature)
    if missing == 1:
        looked.findings.clear()
        seen = "no value"
        looked.say(
            "warning", "has no value in any row, so it says nothing. Correct the column, or leave it out."
        )
    facts = FeatureFacts(
        table=table, name=name, kind=feature.kind, missing=missing, distinct=distinct, seen=seen
    )
    return facts, looked.findings


def shown_facts(key: str, name: str, values: pa.ChunkedArray) -> tuple[FeatureFacts, list[Finding]]:
    """Looks at the column of where, or how probably, candidates were shown.

    Args:
        key: ``position`` or ``propensity``.
        name: The column.
        values: [n] values as ingestion converts them, null where missing; one at least.
    """
    present = values.drop_null()
    distinct, seen, findings = pc.count_distinct(present).as_py(), "no value", []
    if distinct:
        least, most = (pc.min_max(present)[end].as_py() for end in ("min", "max"))
        seen = f"{least:g} … {most:g}" if distinct > 1 else f"{least:g}"
    if distinct < 2:
        found = f"nothing but {seen}" if distinct else "no value in any row"
        findings.append(
            Finding(
                level="warning",
                about=f"interactions.{key}",
                message=f"column {name!r} has {found}, so nothing can be weighed by it. Correct the column, "
                "or remove the key.",
            )
        )
    facts = FeatureFacts(
        table="interactions",
        name=name,
        kind=key,
        missing=values.null_count / len(values),
        distinct=distinct,
        seen=seen,
    )
    return facts, findings


class _Look:
    """What the present values of one column show, and what is to be said of it."""

    def __init__(self, about: str, values: pa.ChunkedArray) -> None:
        self._about, self._values = about, values
        self.findings: list[Finding] = []

    def say(self, level: Level, message: str) -> None:
        self.findings.append(Finding(level=level, about=self._about, message=message))

    def at(self, feature: Feature) -> tuple[int | None, str]:
        """Number of distinct values, and what the values look like."""
        if not len(self._values):
            return None if isinstance(feature, EmbeddingFeature) else 0, "no value"
        match feature:
            case VocabularyFeature():
                return self._vocabulary(feature)
            case HashFeature():
                self._say_if_integers_as_floats()
                distinct = pc.count_distinct(self._values).as_py()
                return distinct, f"{distinct:,} values in {feature.bins:,} bins"
            case NumericFeature():
                return self._numeric(feature)
            case MultivalentFeature():
                return self._multivalent(feature)
            case TextFeature():
                return self._text(feature)
            case TimestampFeature():
                return self._timestamp()
            case EmbeddingFeature():
                return None, f"vectors of {feature.dim:,} numbers"
        raise TypeError(f"no look at {feature!r}")

    def _vocabulary(self, feature: VocabularyFeature) -> tuple[int, str]:
        counts = _counts(self._values)
        self._say_if_constant(len(counts))
        self._say_if_integers_as_floats()
        covered = self._covered(counts, feature.top_k)
        if feature.top_k is None and len(counts) > max(1_000, 0.5 * len(self._values)):
            self.say(
                "suggestion",
                f"has {len(counts):,} values, about as many as rows: little can be learnt of each. A top_k, "
                "or kind hash, keeps the rare ones together.",
            )
        return len(counts), f"{len(counts):,} values{covered}"

    def _numeric(self, feature: NumericFeature) -> tuple[int, str]:
        distinct = pc.count_distinct(self._values).as_py()
        least, most = (pc.min_max(self._values)[key].as_py() for key in ("min", "max"))
        self._say_if_constant(distinct)
        self._say_if_sentinel()
        if feature.scale == "log1p" and least < 0:
            below = pc.sum(pc.less(self._values, 0)).as_py()
            self.say(
                "warning",
                f"scale log1p takes every negative number for 0; found {below:,}, {least:g} "
                "the least. Use z_score or buckets, or correct the column.",
            )
        if feature.scale == "z_score" and distinct > 1:
            self._say_if_flattened()
        if feature.scale == "buckets" and 1 < distinct < feature.buckets:
            self.say(
                "suggestion",
                f"buckets {feature.buckets} are more than its {distinct} different values; "
                "kind vocabulary would give each its own.",
            )
        return distinct, f"{least:g} … {most:g}"

    def _say_if_integers_as_floats(self) -> None:
        """Tells text such as 25.0 throughout: it stays so, and a request that says 25 is not known."""
        distinct = pc.unique(self._values)
        if pc.all(pc.match_substring_regex(distinct, pattern=_WHOLE_WITH_FRACTION)).as_py():
            seen = distinct[0].as_py()
            self.say(
                "warning",
                f"holds whole numbers written as {seen!r}, as a program does where a column has gaps. They "
                f"stay text as written: a request with {seen.split('.')[0]!r} is not known. Write the column "
                "as integers.",
            )

    def _say_if_sentinel(self) -> None:
        """Tells a number that comes again and again, far outside all others: it may stand for none."""
        counted = pc.value_counts(self._values)
        numbers = counted.field("values").to_numpy(zero_copy_only=False).astype(np.float64)
        counts = counted.field("counts").to_numpy()
        if len(numbers) < _SENTINEL_DISTINCT + 1:
            return
        order = np.argsort(numbers)
        for at, others in ((order[0], order[1:]), (order[-1], order[:-1])):
            value, share = numbers[at], counts[at] / counts.sum()
            if share >= _SENTINEL_SHARE and counts[at] > 1 and _stands_apart(value, np.sort(numbers[others])):
                self.say(
                    "warning",
                    f"{share:.1%} of its values are {value:.15g}, far from all others ("
                    f"{numbers[others].min():g} … {numbers[others].max():g}): does it stand for none? If so, "
                    f"say under 'missing' of the table missing: {{<column>: [{value:.15g}]}}.",
                )

    def _say_if_flattened(self) -> None:
        """Tells a few values so far away that standardising makes all others one."""
        numbers = self._values.to_numpy().astype(np.float64)
        low, high = np.quantile(numbers, [0.005, 0.995])
        spread = numbers.std()
        if low < high and high - low < _FLAT * spread:
            furthest = float(numbers[np.abs(numbers - np.median(numbers)).argmax()])
            self.say(
                "warning",
                f"a value of {furthest:g} is so far off that 99% of the others fall within {_FLAT:g} of "
                "each other once standardised. Use scale log1p or buckets, or say under 'missing' of the "
                f"table that it stands for none: missing: {{<column>: [{furthest:.15g}]}}.",
            )

    def _multivalent(self, feature: MultivalentFeature) -> tuple[int, str]:
        counts = _counts(pc.list_flatten(self._values))
        self._say_if_constant(len(counts))
        sizes = pc.list_value_length(self._values).to_numpy()
        self._say_if_cut(sizes, "max_values", feature.max_values, "values")
        return len(counts), f"{len(counts):,} values, up to {sizes.max():,} in a cell"

    def _text(self, feature: TextFeature) -> tuple[int, str]:
        lower = pc.utf8_lower(self._values.slice(0, _LOOKED_AT))
        spaced = pc.utf8_trim_whitespace(
            pc.replace_substring_regex(lower, pattern=_WORD_SEPARATORS, replacement=" ")
        )
        words = pc.split_pattern(spaced, pattern=" ")
        flat = pc.list_flatten(words)
        counts = _counts(flat.filter(pc.not_equal(flat, "")))
        sizes = pc.list_value_length(words).to_numpy()
        self._say_if_cut(sizes, "max_tokens", feature.max_tokens, "words")
        covered = self._covered(counts, feature.top_k)
        return len(counts), f"{len(counts):,} words, up to {sizes.max():,} in a cell{covered}"

    def _timestamp(self) -> tuple[int, str]:
        first, last = (pc.min_max(self._values)[key].as_py() for key in ("min", "max"))
        days = (datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d") for at in (first, last))
        return pc.count_distinct(self._values).as_py(), " … ".join(days)

    def _say_if_constant(self, distinct: int) -> None:
        if distinct == 1 and len(self._values) > 1:
            self.say("suggestion", "has the same value wherever it has one, so it says little. Leave it out?")

    def _say_if_cut(self, sizes: np.ndarray, key: str, most: int, what: str) -> None:
        cut = float((sizes > most).mean())
        if cut > _CUT:
            enough = int(np.quantile(sizes, 1 - _CUT / 10))
            self.say(
                "suggestion",
                f"{key} {most} cuts {what} off in {cut:.0%} of the cells; {enough} would keep 99% whole.",
            )

    def _covered(self, counts: np.ndarray, top_k: int | None) -> str:
        """How much of the column a bounded vocabulary knows, in words."""
        if top_k is None or len(counts) <= top_k:
            return ""
        covered = float(counts[:top_k].sum() / counts.sum())
        if covered < _COVERED:
            enough = int(np.searchsorted(np.cumsum(counts), _COVERED * counts.sum())) + 1
            self.say(
                "suggestion",
                f"top_k {top_k:,} knows {covered:.0%} of what the column holds; {enough:,} "
                f"would know {_COVERED:.0%}.",
            )
        return f", {covered:.0%} known with top_k {top_k:,}"


def _stands_apart(value: float, others: np.ndarray) -> bool:
    """Whether an extreme value is no likely member of the others.

    Args:
        value: Less or more than all others.
        others: [m] different numbers, ascending.
    """
    low, high = others[0], others[-1]
    gap = max(low - value, value - high)
    if value == -1:
        return bool(low >= 0)
    if re.fullmatch(_SENTINEL, f"{value:.15g}"):
        return bool(gap > high - low)
    # Nothing but a number apart: years beside 0 are missing, prices beside 0 are gifts.
    return value == 0 and low > 0 and bool(gap > _SENTINEL_FAR * (high - low))


def _counts(values: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """How often each distinct value occurs, most frequent first."""
    return np.sort(pc.value_counts(values).field("counts").to_numpy())[::-1]
