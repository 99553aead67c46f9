"""The data as the report shows it: splits, interactions over time, feature by feature."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from markupsafe import Markup

from components.ingest.declaration import (
    ACTION,
    HISTORY,
    HISTORY_ACTION,
    HISTORY_AGE,
    POSITIVE,
    REPEAT,
    WEIGHT,
    Declaration,
)
from components.ingest.features import Feature, TimestampFeature
from components.ingest.summary import IngestionSummary
from pipeline.report import figures, formats
from pipeline.report.statistics import FeatureProfile, SplitProfile

_DERIVED = {
    ACTION: "what the user did",
    HISTORY: "history: earlier candidates",
    HISTORY_AGE: "history: seconds before this interaction",
    HISTORY_ACTION: "history: what the user did with each",
    POSITIVE: "label: positive or not",
    REPEAT: "whether the user had the candidate before",
    WEIGHT: "weight in the losses",
}
_TOP_VALUES = 3
_LONGEST_VALUE = 28


@dataclasses.dataclass(frozen=True)
class FeatureRow:
    """A line of a feature table.

    Attributes:
        name: The feature's.
        role: What it is declared as; empty where that is not known.
        type: ``string``, ``int`` or ``float``.
        missing: Share of examples without it.
        some_missing: Whether any are.
        distinct: Number of distinct values.
        summary: What the values are like, one statement each.
        plot: A small histogram; None without values.
        axis: What the histogram's ends are.
    """

    name: str
    role: str
    type: str
    missing: str
    some_missing: bool
    distinct: str
    summary: tuple[str, ...]
    plot: Markup | None
    axis: tuple[str, str]


@dataclasses.dataclass(frozen=True)
class CountTable:
    """What there is how often.

    Attributes:
        caption: Of the table.
        headers: Of the columns, from the second on.
        rows: Name and numbers, written out.
    """

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


_SPLITS_BY = {
    "time": "Splits by time",
    "leave_last_out": "Splits: the last positive interaction of each user is test, the one before it eval",
    "column": "Splits by a column of the log",
}


def splits_caption(ingestion: IngestionSummary) -> str:
    """How the splits were made."""
    if ingestion.split == "time" and ingestion.order == "rows":
        return "Splits by the rows' order"
    return _SPLITS_BY.get(ingestion.split, "Splits")


def splits_ends(ingestion: IngestionSummary) -> tuple[str, str]:
    """Headers of where splits begin and end."""
    return ("From (UTC)", "To (UTC)") if ingestion.order == "time" else ("From", "To")


def row_tables(ingestion: IngestionSummary) -> list[CountTable]:
    """What became of the rows, where they are from, and what they say was done; only what tells something."""
    used = sum(split.count for split in ingestion.splits.values())
    became = [
        ("in a split", used),
        ("bad", ingestion.bad),
        ("repeat another row, dropped", ingestion.duplicates),
        ("older than since", ingestion.before_since),
        ("left out by where", ingestion.left_out),
        ("cancel an interaction", ingestion.cancellations),
        ("cancelled within their split", ingestion.cancelled),
    ]
    tables = []
    if used != ingestion.rows:
        rows = [(name, (formats.count(n), formats.share(n / ingestion.rows))) for name, n in became if n]
        tables.append(CountTable("What became of the rows", ("Rows", "Share"), tuple(rows)))
    if ingestion.bad:
        reasons = [
            (reason, (formats.count(n), formats.share(n / ingestion.rows)))
            for reason, n in ingestion.bad_by_reason.items()
        ]
        tables.append(CountTable("Bad rows, by reason", ("Rows", "Share"), tuple(reasons)))
    if len(ingestion.rows_by_source) > 1:
        sources = [(files, (formats.count(n),)) for files, n in ingestion.rows_by_source.items()]
        tables.append(CountTable("Rows by source", ("Rows",), tuple(sources)))
    actions = [*dict.fromkeys(action for split in ingestion.splits.values() for action in split.actions)]
    if actions:
        counts = [
            (
                action,
                tuple(formats.count(split.actions.get(action, 0)) for split in ingestion.splits.values()),
            )
            for action in actions
        ]
        tables.append(CountTable("Interactions by action", tuple(ingestion.splits), tuple(counts)))
    return tables


def interaction_rows(split: SplitProfile, declaration: Declaration | None) -> list[FeatureRow]:
    """The features of the interactions: keys first, then as declared, then what ingestion derived."""
    roles = _interaction_roles(declaration) if declaration else {}
    moments = _moments(declaration, declaration.query_features) if declaration else set()
    return _rows(split, roles, moments)


def candidate_rows(split: SplitProfile, declaration: Declaration | None) -> list[FeatureRow]:
    """The features of the catalogue, id and title first."""
    if declaration is None:
        return _rows(split, {}, set())
    table = declaration.candidates
    roles = {table.id: "candidate's id"}
    if table.title:
        roles[table.title] = "title"
    for name, feature in table.features.items():
        roles[name] = f"{roles[name]}, {feature.kind}" if name in roles else feature.kind
    moments = {n for n, feature in table.features.items() if isinstance(feature, TimestampFeature)}
    return _rows(split, roles, moments)


def timeline(splits: Mapping[str, SplitProfile], declaration: Declaration | None) -> Markup | None:
    """Interactions a day, by split; None where the statistics do not tell, and without time."""
    when = declaration.interactions.timestamp if declaration else None
    column = when.feature if when and when.has_time else ""
    histograms = {
        name: split.features[column].bars for name, split in splits.items() if column in split.features
    }
    return figures.timeline("Interactions over time", histograms) if any(histograms.values()) else None


def _interaction_roles(declaration: Declaration) -> dict[str, str]:
    interactions = declaration.interactions
    roles = {
        interactions.query_id: "user's id",
        interactions.candidate_id: "candidate's id",
        interactions.timestamp.feature: "timestamp" if interactions.timestamp.has_time else "order",
    }
    if interactions.rating:
        roles[interactions.rating.column] = f"rating, positive from {interactions.rating.positive_from:g}"
    if interactions.position:
        roles[interactions.position] = "position where it was shown"
    if interactions.propensity:
        roles[interactions.propensity] = "propensity of its being shown"
    for name, feature in declaration.query_features.items():
        roles[name] = f"{roles[name]}, context" if name in roles else feature.kind
    return roles | _DERIVED


def _moments(declaration: Declaration, features: Mapping[str, Feature]) -> set[str]:
    declared = {name for name, feature in features.items() if isinstance(feature, TimestampFeature)}
    when = declaration.interactions.timestamp
    return declared | ({when.feature} if when.has_time else set())


def _rows(split: SplitProfile, roles: Mapping[str, str], moments: set[str]) -> list[FeatureRow]:
    known = [name for name in roles if name in split.features]
    names = known + [name for name in split.features if name not in roles]
    return [_row(split.features[name], roles.get(name, ""), name in moments) for name in names]


def _row(profile: FeatureProfile, role: str, is_moment: bool) -> FeatureRow:
    bars = profile.bars
    heights = [bar.count for bar in bars]
    axis = ("", "")
    if bars and profile.numbers:
        axis = (_number(bars[0].low, is_moment), _number(bars[-1].high, is_moment))
    elif bars:
        # Ranks: the picture is how fast the frequencies fall.
        axis = ("most frequent", f"{len(bars)} values" if len(bars) == profile.unique else f"top {len(bars)}")
    return FeatureRow(
        name=profile.name,
        role=role,
        type=profile.type,
        missing=formats.share(profile.missing),
        some_missing=profile.missing > 0,
        distinct=formats.NOTHING if profile.unique is None else formats.count(profile.unique),
        summary=tuple(_summary(profile, is_moment)),
        plot=figures.sparkline(f"Distribution of {profile.name}", heights) if any(heights) else None,
        axis=axis,
    )


def _summary(profile: FeatureProfile, is_moment: bool) -> list[str]:
    lines = []
    numbers = profile.numbers
    if numbers and is_moment:
        lines.append(f"{formats.moment(numbers.minimum)} to {formats.moment(numbers.maximum)}")
    elif numbers:
        lines.append(f"mean {formats.quantity(numbers.mean)}, sd {formats.quantity(numbers.deviation)}")
        lines.append(
            f"min {formats.quantity(numbers.minimum)}, median {formats.quantity(numbers.median)}, "
            f"max {formats.quantity(numbers.maximum)}"
        )
    elif profile.bars and profile.values:
        top = [f"{_short(bar.label)} {formats.share(bar.count / profile.values)}" for bar in profile.bars]
        # Where hardly any value occurs twice, the most frequent ones say nothing.
        if profile.bars[0].count > 1:
            lines.append(", ".join(top[:_TOP_VALUES]))
    if profile.most > 1:
        lines.append(f"{profile.least} to {profile.most} values, {profile.average:.1f} on average")
    return lines


def _number(value: float, is_moment: bool) -> str:
    return formats.moment(value)[:10] if is_moment else formats.quantity(value)


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…"
