"""The table of the cascade's additions, and what it takes to earn a place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev
from typing import Final, NamedTuple

from benchmarks.cascade.configuration import RANKER, RETRIEVAL_ONLY, Configuration
from benchmarks.cascade.results import Measured
from components.evaluate.config import (
    FUNNEL,
    RECOMMEND,
    RECOMMEND_NEW,
    RETRIEVE,
    RETRIEVE_NEW,
)

EQUAL: Final = 1.1
"""Up to so many times the latency of what it is added to, an addition counts as just as quick."""
NOTICED: Final = 0.01
"""Differences below such a share of what there was before count for nothing, whatever the seeds agree on."""
FEWEST_SEEDS: Final = 3
"""With fewer nothing is decided."""

BySeed = Mapping[int, Measured]


class Numbers(NamedTuple):
    """What the table holds of a variant and a seed; None where there is no such number.

    Attributes:
        recall10: recall@10 of the list that is shown.
        recall100: recall@100.
        ndcg10: NDCG@10.
        new10: NDCG@10 of candidates new to the query, without those of its history; under repeats.
        overlap100: the funnel's overlap@100.
        delivered10: share of the ranker's best ten of the whole catalogue that are delivered to it.
        correlation: Spearman's, of the towers' scores and the final ones over the catalogue.
        latency: of a query, over that of the cascade's ``retrieve``.
        slowdown: of a query, over that of the cascade's ``recommend``.
    """

    recall10: float | None
    recall100: float | None
    ndcg10: float | None
    new10: float | None
    overlap100: float | None
    delivered10: float | None
    correlation: float | None
    latency: float
    slowdown: float


def numbers(measured: Measured, *, retrieval_only: bool) -> Numbers:
    """What the table holds of a measurement.

    Args:
        measured: Of the cascade as it is, or with an addition.
        retrieval_only: Whether it is about its retrieval alone.
    """
    found, taken = measured.metrics, measured.latency
    rival, new = (RETRIEVE, RETRIEVE_NEW) if retrieval_only else (RECOMMEND, RECOMMEND_NEW)
    milliseconds = taken.retrieve if retrieval_only else taken.recommend
    return Numbers(
        recall10=found.get(f"{rival}/recall@10"),
        recall100=found.get(f"{rival}/recall@100"),
        ndcg10=found.get(f"{rival}/ndcg@10"),
        new10=found.get(f"{new}/ndcg@10"),
        overlap100=None if retrieval_only else found.get(f"{FUNNEL}/overlap@100"),
        delivered10=None if retrieval_only else found.get(f"{FUNNEL}/top10_delivered"),
        correlation=None if retrieval_only else found.get(f"{FUNNEL}/rank_correlation"),
        latency=milliseconds / taken.ranker_retrieve,
        slowdown=milliseconds / taken.ranker_recommend,
    )


class Judged(NamedTuple):
    """An addition beside what it is added to.

    Attributes:
        ndcg10: Differences of NDCG@10, one for each seed that both have.
        overlap100: Of overlap@100; empty where one has none.
        words: Whether it earns its place, and on what or why not.
    """

    ndcg10: list[float]
    overlap100: list[float]
    words: str


def judged(variant: str, own: Mapping[int, Numbers], other: Mapping[int, Numbers]) -> Judged:
    """Holds an addition against what it is added to, seed by seed.

    It earns its place where, at the same latency (:data:`EQUAL`), NDCG@10 or overlap@100 is greater with each
    seed, by :data:`NOTICED` in the mean, while the other of the two is not in the same way less. The ranker
    itself cannot be as quick as retrieval without it: it is judged by NDCG@10 alone.

    Args:
        variant: What is added.
        own: Its numbers by seed.
        other: Those of what it is added to; the same seeds or some of them.

    Raises:
        ValueError: If no seed is in both.
    """
    seeds = sorted(own.keys() & other.keys())
    if not seeds:
        raise ValueError(f"no seed of {variant!r} is one of what it is added to: nothing can be compared")
    changes = {
        name: [
            (before, after)
            for seed in seeds
            if (after := of(own[seed])) is not None and (before := of(other[seed])) is not None
        ]
        for name, of in _JUDGED_BY.items()
    }
    slowdown = 1.0 if variant == RANKER else mean(own[seed].slowdown / other[seed].slowdown for seed in seeds)
    ndcg10, overlap100 = ([after - before for before, after in by_seed] for by_seed in changes.values())
    return Judged(ndcg10, overlap100, _words(changes, slowdown, len(seeds)))


_JUDGED_BY: Final[Mapping[str, Callable[[Numbers], float | None]]] = {
    "NDCG@10": lambda found: found.ndcg10,
    "overlap@100": lambda found: found.overlap100,
}
_Changes = Sequence[tuple[float, float]]
"""Before and after, by seed."""


def _words(changes: Mapping[str, _Changes], slowdown: float, seeds: int) -> str:
    if seeds < FEWEST_SEEDS:
        return f"undecided: {seeds} of {FEWEST_SEEDS} seeds"
    gained = [name for name, by_seed in changes.items() if _is_greater(by_seed)]
    lost = [
        name
        for name, by_seed in changes.items()
        if _is_greater([(-before, -after) for before, after in by_seed])
    ]
    reasons = [f"loses {' and '.join(lost)}"] if lost else []
    reasons += [f"{slowdown:.2f} × the latency"] if slowdown > EQUAL else []
    if gained and not reasons:
        return f"earns its place: {', '.join(gained)}"
    return f"option: {'; '.join(reasons) or f'no gain of {NOTICED:.0%} with every seed'}"


def _is_greater(by_seed: _Changes) -> bool:
    if not by_seed or any(after <= before for before, after in by_seed):
        return False
    grown = mean(after - before for before, after in by_seed)
    return grown >= NOTICED * abs(mean(before for before, _ in by_seed))


_COLUMNS: Final[Mapping[str, Callable[[Numbers], float | None]]] = {
    "recall@10": lambda found: found.recall10,
    "recall@100": lambda found: found.recall100,
    "NDCG@10": lambda found: found.ndcg10,
    "NDCG@10, new": lambda found: found.new10,
    "overlap@100": lambda found: found.overlap100,
    "top 10 delivered": lambda found: found.delivered10,
    "rank correlation": lambda found: found.correlation,
}


def table(configuration: Configuration, measured: Mapping[str, BySeed]) -> str:
    """All variants of a data set, as Markdown.

    Args:
        configuration: Says what is added to what.
        measured: Variant to seed to measurement, in the order of the rows; ``ranker`` among them.
    """
    found = {
        RETRIEVAL_ONLY: {seed: numbers(one, retrieval_only=True) for seed, one in measured[RANKER].items()},
        **{
            variant: {seed: numbers(one, retrieval_only=False) for seed, one in by_seed.items()}
            for variant, by_seed in measured.items()
            if by_seed
        },
    }
    rows = [by_seed.values() for by_seed in found.values()]
    shown = {
        name: of
        for name, of in _COLUMNS.items()
        if any(of(one) is not None for by_seed in rows for one in by_seed)
    }
    headers = ["", *shown, "p50, × retrieve", *(f"Δ {name}" for name in _JUDGED_BY), ""]
    lines = [_line(headers), _line(["---", *["--:"] * (len(headers) - 2), "---"])]
    for variant, by_seed in found.items():
        cells = [_spread([of(one) for one in by_seed.values()]) for of in shown.values()]
        cells.append(f"{mean(one.latency for one in by_seed.values()):.2f}")
        cells += _compared(configuration, variant, found)
        lines.append(_line([_title(configuration, variant), *cells]))
    return "\n".join(lines)


def _compared(
    configuration: Configuration, variant: str, found: Mapping[str, Mapping[int, Numbers]]
) -> list[str]:
    """The cells on the differences and what they come to."""
    if variant == RETRIEVAL_ONLY:
        return ["", "", ""]
    other = found.get(configuration.against(variant), {})
    if not found[variant].keys() & other.keys():
        return ["", "", "undecided: what it is added to is not measured"]
    held = judged(variant, found[variant], other)
    return [_difference(held.ndcg10), _difference(held.overlap100), held.words]


def remarks(measured: Mapping[str, BySeed]) -> list[str]:
    """What the numbers of a data set are means over.

    Args:
        measured: As of :func:`table`.
    """
    by_seed = measured[RANKER]
    found = next(iter(by_seed.values())).evaluated
    new = f", {found.new:,} of them new to the query" if found.new else ""
    retrieve = mean(one.latency.ranker_retrieve for one in by_seed.values())
    return [
        f"{found.interactions:,} interactions, {found.positives:,} of them positive{new}; for "
        f"{found.ranked:,} of these the whole catalogue was ranked.",
        f"`retrieve` takes {retrieve:.2f} ms (p50, one query at a time).",
    ]


def _title(configuration: Configuration, variant: str) -> str:
    if variant == RETRIEVAL_ONLY:
        return "retrieval only"
    against = configuration.against(variant)
    beside = "" if against in (RANKER, RETRIEVAL_ONLY) else f" (and {against.replace('_', ' ')})"
    return f"+ {variant.replace('_', ' ')}{beside}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(values: Sequence[float | None]) -> str:
    """Mean and standard deviation over the seeds."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    return f"{mean(known):.4f}" + (f" ± {stdev(known):.4f}" if len(known) > 1 else "")


def _difference(values: Sequence[float]) -> str:
    """Mean, least and greatest over the seeds."""
    if not values:
        return "–"
    among = f" ({min(values):+.4f} to {max(values):+.4f})" if len(values) > 1 else ""
    return f"{mean(values):+.4f}{among}"
