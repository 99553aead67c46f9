"""Configuration of the ranking model and its training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from components.ingest.declaration import Interactions
from components.ingest.strict import BatchSize, Epochs, Layers, LearningRate, Seed, Strict, Weight, Width


class Negatives(Strict):
    """Candidates drawn beside each positive interaction, to stand for what its query did not choose.

    They count as much as their positive, and what the positive head learns is corrected for how often each
    candidate is drawn: numbers and kinds change how well it learns, not what.
    """

    popular: int = Field(
        default=0, ge=0, le=10_000, description="Drawn as often as the log's positives have them."
    )
    uniform: int = Field(
        default=0, ge=0, le=10_000, description="From the whole catalogue, each equally likely."
    )
    history: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="From the query's own history, each of its candidates equally likely: the hard ones "
        "where people come back to the same.",
    )
    retrieved: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="From the best `retrieved_from` that the trained towers retrieve for the query, each "
        "equally likely, without its history and its positives: what the ranker has to order.",
    )
    retrieved_from: int = Field(default=100, gt=0, le=100_000, description="How many of the best those are.")

    @model_validator(mode="after")
    def _any_candidate_can_be_drawn(self) -> Negatives:
        for name in ("history", "retrieved"):
            if getattr(self, name) and not self.popular + self.uniform:
                raise ValueError(
                    f"{name} alone says nothing of other candidates; expected popular or uniform above 0 too"
                )
        return self

    @property
    def total(self) -> int:
        """Candidates drawn for each positive."""
        return self.popular + self.uniform + self.history + self.retrieved


class Position(Strict):
    """A tower that learns what the place in the list adds; ``ranking.position``."""

    maximum: int = Field(default=50, gt=0, le=100_000, description="Positions past it count as it.")
    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the training interactions whose position is hidden."
    )


class Propensity(Strict):
    """Weights by the inverse of the chance to be seen; ``ranking.inverse_propensity``."""

    examination: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = Field(
        default=None,
        min_length=1,
        description="Chance that position 1, 2, … is looked at; the last stands for those after it. "
        "Absent: `interactions.propensity` where declared, else estimated from the train split.",
    )
    maximum: int = Field(
        default=50, gt=0, le=100_000, description="Of the estimate: positions past it count as it."
    )
    clip: float = Field(default=10.0, ge=1, le=1_000_000, description="The greatest weight.")

    def of_position(self, log: Interactions) -> bool:
        """Whether the chance is of a position's being looked at; else of the logging policy's."""
        return self.examination is not None or log.propensity is None


class RankingConfig(Strict):
    """The ranker, its heads and how it is trained; the ``ranking`` section of a domain file."""

    feature_dim: Width = Field(default=8, description="Width of each id's and feature's embedding.")
    cross_layers: int = Field(default=2, ge=0, le=32, description="DCN-v2 cross layers.")
    cross_rank: Width = Field(default=32, description="Rank of each cross layer's weight matrix.")
    layers: Layers = Field(default=(64, 32), description="Hidden layers of the deep part.")
    structure: Literal["stacked", "parallel"] = Field(
        default="stacked", description="Whether the deep part is after the crosses or beside them."
    )
    history: Literal["mean", "target_attention"] = Field(
        default="mean",
        description="The mean of the history's id embeddings, or one that each candidate weighs anew (DIN).",
    )
    attention_dim: Width = Field(
        default=16,
        description="Of target attention: width in which candidates and events are compared.",
    )
    id_dropout: float = Field(
        default=0.5, ge=0, lt=1, description="Share of training query ids shown as unknown."
    )
    dropout: float = Field(default=0.5, ge=0, lt=1)
    heads: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] | None = Field(
        default=None,
        description="Heads beside `positive` and `rating`: name to the actions whose interactions are 1, "
        "others are 0. Absent: of several actions of weight above 0 each has one, of it and the weightier.",
    )
    head_weights: dict[str, Weight] = Field(
        default_factory=dict, description="Head to the weight of its loss; 1 for those not named."
    )
    weighting: Literal["fixed", "uncertainty"] = Field(
        default="fixed",
        description="Whether the heads' weights are `head_weights` or learnt (Kendall et al.).",
    )
    sharing: Literal["shared_bottom", "mmoe"] = Field(
        default="shared_bottom",
        description="Whether heads share one deep part, or each mixes several experts (MMoE).",
    )
    experts: int = Field(default=4, gt=1, le=256, description="Of `mmoe`: how many.")
    loss: Literal["pointwise", "pairwise", "softmax"] = Field(
        default="pointwise",
        description="Of `positive`: of each label alone, of a positive against each negative drawn for it, "
        "or against all of them.",
    )
    position: Position | None = Field(
        default=None,
        description="Whether a tower learns what the place where it was shown adds to a candidate's chances, "
        "and is left out in serving.",
    )
    inverse_propensity: Propensity | None = Field(
        default=None, description="Whether what was seldom seen weighs more."
    )
    calibration: Literal["platt", "none"] = Field(
        default="platt",
        description="Whether probabilities are fitted to the eval split's labels once trained (Platt).",
    )
    negatives: Negatives | None = Field(
        default=None,
        description="Candidates drawn as negatives for each positive. Absent: none where the log holds "
        "negatives and the loss is pointwise, else `{popular: 4, uniform: 8, history: 8}`.",
    )
    repeats: bool | None = Field(
        default=None,
        description="Whether the ranker sees how often and how lately the history holds the candidate. "
        "Absent: where negatives are drawn.",
    )
    learning_rate: LearningRate = 0.001
    batch_size: BatchSize = 512
    epochs: Epochs = Field(default=20, description="At most; early stopping usually ends sooner.")
    patience: Epochs = Field(default=3, description="Epochs without a better validation before stopping.")
    seed: Seed = 17

    def resolved_negatives(self, *, has_negatives: bool) -> Negatives:
        """What to draw for a log that holds negatives of its own, or none."""
        if self.negatives is not None:
            return self.negatives
        if has_negatives and self.loss == "pointwise":
            return Negatives()
        return Negatives(popular=4, uniform=8, history=8)

    def check(self, log: Interactions) -> None:
        """Holds the corrections for how candidates were shown against the log they are for.

        Raises:
            ValueError: If the log does not declare what they need. Says what to declare or remove.
        """
        if self.position:
            self._check_position(log)
        propensity = self.inverse_propensity
        if not (propensity and propensity.of_position(log)):
            return
        if log.position is None:
            raise ValueError(
                "ranking.inverse_propensity: the domain declares neither interactions.propensity, the column "
                "of the probability with which a candidate was shown, nor interactions.position, the one of "
                "the place where it was; expected one of them. Add it, or remove the section"
            )
        if self.position:
            raise ValueError(
                "found both ranking.position and an examination of positions in ranking.inverse_propensity; "
                "expected one: either corrects for the place where a candidate was shown"
            )
        if propensity.examination is None and not log.has_negatives:
            raise ValueError(
                "ranking.inverse_propensity: every interaction of the log is positive, so how often a "
                "position is looked at cannot be estimated. Say it in "
                "ranking.inverse_propensity.examination, or declare the log's interactions.propensity"
            )

    def _check_position(self, log: Interactions) -> None:
        if log.position is None:
            raise ValueError(
                "ranking.position: the domain declares no position; expected interactions.position, the "
                "column of the place where a candidate was shown. Add it, or remove ranking.position"
            )
        if not log.has_negatives:
            raise ValueError(
                "ranking.position: every interaction of the log is positive, so a tower of positions has "
                "nothing to learn; expected an action of weight 0 for what was shown and passed over, or a "
                "rating. ranking.inverse_propensity with an examination does without"
            )
        if self.loss != "pointwise":
            raise ValueError(
                f"ranking.position: what a place adds cancels in loss {self.loss!r}, which compares an "
                "interaction with what is drawn for it alone; expected 'loss: pointwise', or "
                "ranking.inverse_propensity instead of ranking.position"
            )

    @model_validator(mode="after")
    def _fits(self) -> RankingConfig:
        if self.loss != "pointwise" and self.negatives is not None and not self.negatives.total:
            raise ValueError(
                f"negatives draws none, but loss {self.loss!r} holds a positive against drawn ones: set "
                "one of its numbers above 0, or leave the key out"
            )
        for key, value in (("sharing", "mmoe"), ("structure", "parallel")):
            if getattr(self, key) == value and not self.layers:
                raise ValueError(
                    f"'{key}: {value}' without 'layers': expected at least one, it is about the deep part"
                )
        if self.weighting == "uncertainty" and self.head_weights:
            raise ValueError(
                "found both head_weights and 'weighting: uncertainty', which learns them; expected one"
            )
        return self
