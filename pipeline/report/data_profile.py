"""The data as the report shows it: splits, interactions over time, feature by feature."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from markupsafe import Markup

from components.ingest.declaration import HISTORY, HISTORY_AGE, POSITIVE, WEIGHT, Declaration
from components.ingest.features import Feature, TimestampFeature
from pipeline.report import figures, formats
from pipeline.report.statistics import FeatureProfile, SplitProfile

_DERIVED = {
    HISTORY: "history: earlier positive candidates",
    HISTORY_AGE: "history: seconds before this interaction",
    POSITIVE: "label: positive or not",
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
    """Interactions a day, by split; None where the statistics do not tell."""
    column = declaration.interactions.timestamp.column if declaration else ""
    histograms = {
        name: split.features[column].bars for name, split in splits.items() if column in split.features
    }
    return figures.timeline("Interactions over time", histograms) if any(histograms.values()) else None


def _interaction_roles(declaration: Declaration) -> dict[str, str]:
    interactions = declaration.interactions
    roles = {
        interactions.query_id: "user's id",
        interactions.candidate_id: "candidate's id",
        interactions.timestamp.column: "timestamp",
        interactions.rating.column: f"rating, positive from {interactions.rating.positive_from:g}",
    }
    for name, feature in declaration.query_features.items():
        roles[name] = f"{roles[name]}, context" if name in roles else feature.kind
    return roles | _DERIVED


def _moments(declaration: Declaration, features: Mapping[str, Feature]) -> set[str]:
    declared = {name for name, feature in features.items() if isinstance(feature, TimestampFeature)}
    return declared | {declaration.interactions.timestamp.column}


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
