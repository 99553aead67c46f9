"""How far the data's distributions may move: the ``distributions`` section of a domain file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field, model_validator

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
from components.ingest.features import Feature
from components.ingest.strict import Strict

Measure = Literal["l_infinity", "jensen_shannon"]
_Type = Literal["text", "number", "moment"]

_TYPES: Final[Mapping[str, _Type]] = {
    "vocabulary": "text",
    "hash": "text",
    "multivalent": "text",
    "text": "text",
    "numeric": "number",
    "embedding": "number",
    "timestamp": "moment",
}
"""Kind of feature to what its column holds in the examples."""


class Threshold(Strict):
    """The greatest distance between two distributions of one feature; one of the two, from 0 to 1."""

    l_infinity: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Categories: the greatest change of any one value's share.",
    )
    jensen_shannon: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Numbers, and categories of few values: 0 for equal distributions, 1 for disjoint ones.",
    )

    @model_validator(mode="after")
    def _one_measure(self) -> Threshold:
        if (self.l_infinity is None) == (self.jensen_shannon is None):
            raise ValueError("expected either l_infinity (categories) or jensen_shannon (numbers)")
        return self

    @property
    def measure(self) -> Measure:
        """Which of the two it is."""
        return "jensen_shannon" if self.l_infinity is None else "l_infinity"

    @property
    def greatest(self) -> float:
        """The threshold itself."""
        return self.l_infinity if self.l_infinity is not None else self.jensen_shannon or 0.0


class Drift(Strict):
    """Thresholds between new data and the last that passed the gate, split by split."""

    interactions: dict[str, Threshold] = Field(
        default_factory=dict,
        description="By feature of the interaction examples: a column of the log or of the queries, or "
        "history, history_age, history_action, positive, weight, repeat, action.",
    )
    candidates: dict[str, Threshold] = Field(
        default_factory=dict, description="By feature of the candidates."
    )


class Distributions(Strict):
    """How far distributions may move before the gate stops the run, or warns. Nothing is compared unasked."""

    drift: Drift = Field(
        default=Drift(), description="New data beside the last that passed: a new span beside the last one."
    )
    skew: dict[str, Threshold] = Field(
        default_factory=dict,
        description="The eval split beside the train split, by feature of the interaction examples.",
    )
    over_threshold: Literal["stop", "warn"] = Field(
        default="stop", description="What the gate does about a distance above its threshold."
    )

    @property
    def compares_spans(self) -> bool:
        """Whether there is any threshold for drift."""
        return bool(self.drift.interactions or self.drift.candidates)

    def check(self, declaration: Declaration) -> None:
        """Checks that every threshold is of a feature there is, with a measure that means something for it.

        Raises:
            ValueError: If not; names the key.
        """
        interactions = _interaction_types(declaration)
        _check("drift.interactions", self.drift.interactions, interactions, "interaction")
        _check("drift.candidates", self.drift.candidates, _candidate_types(declaration), "candidate")
        _check("skew", self.skew, interactions, "interaction")


def _check(key: str, thresholds: Mapping[str, Threshold], types: Mapping[str, _Type], stream: str) -> None:
    for feature, threshold in thresholds.items():
        place = f"distributions.{key}.{feature}"
        if feature not in types:
            raise ValueError(
                f"{place}: {stream} examples have no such feature; there are: "
                f"{', '.join(name for name in types if types[name] != 'moment')}"
            )
        if types[feature] == "moment":
            raise ValueError(
                f"{place}: a moment always moves on, so its distance says nothing. Remove it; for the age of "
                "what is remembered there is history_age."
            )
        # TFDV would say 0 whatever the numbers are.
        if types[feature] == "number" and threshold.measure == "l_infinity":
            raise ValueError(f"{place}: l_infinity compares categories; expected jensen_shannon for numbers")


def _interaction_types(declaration: Declaration) -> dict[str, _Type]:
    """Feature of an interaction example to what it holds."""
    log = declaration.interactions
    types: dict[str, _Type] = {log.query_id: "text", log.candidate_id: "text"}
    types |= {log.timestamp.feature: "moment"}
    types |= {log.rating.column: "number"} if log.rating else {}
    types |= {ACTION: "text"} if log.actions else {}
    types |= {HISTORY_ACTION: "text"} if declaration.history_actions else {}
    types |= dict.fromkeys(log.shown, "number")
    types |= _feature_types(declaration.query_features)
    derived: dict[str, _Type] = dict.fromkeys((HISTORY_AGE, POSITIVE, WEIGHT, REPEAT), "number")
    return {**types, HISTORY: "text", **derived}


def _candidate_types(declaration: Declaration) -> dict[str, _Type]:
    """Feature of a candidate example to what it holds."""
    return {declaration.candidates.id: "text", **_feature_types(declaration.candidates.features)}


def _feature_types(features: Mapping[str, Feature]) -> dict[str, _Type]:
    return {name: _TYPES[feature.kind] for name, feature in features.items()}
