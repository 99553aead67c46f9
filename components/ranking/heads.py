"""The ranker's heads: what it predicts of a query and a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from components.ingest.declaration import POSITIVE, Interactions
from components.ranking.config import RankingConfig

RATING = "rating"
"""Name of the head that predicts the rating, whatever the user's column is called."""

RETRIEVAL: Final = "retrieval"
"""What the towers' score is called beside the ranker's heads."""

Combination = Literal["log_linear", "expected_value"]
"""How a final score is made of what the heads say, see :class:`components.ranking.final_score.FinalScore`."""

_TAKEN = (POSITIVE, RATING, "candidate_ids", "scores")
"""What else the served model answers, or always does."""


@dataclass(frozen=True)
class Head:
    """One output of the ranker, of one label.

    Attributes:
        name: What the output is called.
        kind: Whether it is the probability that the label is 1, or the label's value.
        actions: Actions that an interaction's label is 1 for, others' is 0; none: the label is no action's
            but ``positive`` or the rating.
    """

    name: str
    kind: Literal["probability", "value"]
    actions: tuple[str, ...] = ()


def resolved_heads(interactions: Interactions, config: RankingConfig) -> tuple[Head, ...]:
    """The heads for a log: ``positive``, ``rating`` where it is rated, and those of actions.

    Heads of actions are those that ``ranking.heads`` declares; where it is absent, one for each action of
    weight above 0 if there are several, of that action and the weightier ones: who bought has looked, too.

    Raises:
        ValueError: If a head's name is taken, it is of an action that the log does not declare, or
            ``ranking.head_weights`` names a head that there is not.
    """
    heads = [Head(POSITIVE, "probability")]
    if interactions.rating:
        heads.append(Head(RATING, "value"))
    weights = interactions.actions.weights if interactions.actions else {}
    declared = _by_weight(weights) if config.heads is None else config.heads
    for name, actions in declared.items():
        if name in _TAKEN or "/" in name:
            raise ValueError(
                f"ranking.heads: a head cannot be called {name!r}; expected a name without '/' and none "
                f"of {', '.join(_TAKEN)}. Without ranking.heads heads are called like their actions: "
                "declare it"
            )
        for action in actions:
            if action not in weights:
                raise ValueError(
                    f"ranking.heads: {name!r} is of the action {action!r}, which is not declared; there are: "
                    f"{', '.join(weights) or 'none'}"
                )
        heads.append(Head(name, "probability", tuple(actions)))
    names = [head.name for head in heads]
    for name in config.head_weights:
        if name not in names:
            raise ValueError(
                f"ranking.head_weights: there is no head {name!r}; there are: {', '.join(names)}"
            )
    return tuple(heads)


def _by_weight(weights: Mapping[str, float]) -> dict[str, tuple[str, ...]]:
    """Of several actions that are positive, each with those that weigh more."""
    positive = {action: weight for action, weight in weights.items() if weight > 0}
    if len(positive) < 2:
        return {}
    return {
        action: (action, *(other for other, more in positive.items() if more > weight))
        for action, weight in positive.items()
    }
