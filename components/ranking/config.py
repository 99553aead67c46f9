"""Configuration of the ranking model and its training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from components.ingest.strict import Strict


class Negatives(Strict):
    """Candidates drawn beside each positive interaction, to stand for what its query did not choose.

    They count as much as their positive, and what the positive head learns is corrected for how often each
    candidate is drawn: numbers and kinds change how well it learns, not what.
    """

    popular: int = Field(default=0, ge=0, description="Drawn as often as the log's positives have them.")
    uniform: int = Field(default=0, ge=0, description="From the whole catalogue, each equally likely.")
    history: int = Field(
        default=0,
        ge=0,
        description="From the query's own history, each of its candidates equally likely: the hard ones "
        "where people come back to the same.",
    )

    @model_validator(mode="after")
    def _any_candidate_can_be_drawn(self) -> Negatives:
        if self.history and not self.popular + self.uniform:
            raise ValueError(
                "history alone says nothing of candidates outside it; expected popular or uniform above 0 too"
            )
        return self

    @property
    def total(self) -> int:
        """Candidates drawn for each positive."""
        return self.popular + self.uniform + self.history


class RankingConfig(Strict):
    """The ranker, its heads and how it is trained; the ``ranking`` section of a domain file."""

    feature_dim: int = Field(default=8, gt=0, description="Width of each id's and feature's embedding.")
    cross_layers: int = Field(default=2, ge=0, description="DCN-v2 cross layers.")
    cross_rank: int = Field(default=32, gt=0, description="Rank of each cross layer's weight matrix.")
    layers: tuple[int, ...] = Field(default=(64, 32), description="Hidden layers after the crosses.")
    id_dropout: float = Field(
        default=0.5, ge=0, lt=1, description="Share of training query ids shown as unknown."
    )
    dropout: float = Field(default=0.5, ge=0, lt=1)
    heads: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] | None = Field(
        default=None,
        description="Heads beside `positive` and `rating`: name to the actions whose interactions are 1, "
        "others are 0. Absent: of several actions of weight above 0 each has one, of it and the weightier.",
    )
    head_weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="Head to the weight of its loss; 1 for those not named."
    )
    negatives: Negatives | None = Field(
        default=None,
        description="Candidates drawn as negatives for each positive. Absent: none where the log holds "
        "negatives, else `{popular: 4, uniform: 8, history: 8}`.",
    )
    repeats: bool | None = Field(
        default=None,
        description="Whether the ranker sees how often and how lately the history holds the candidate. "
        "Absent: where negatives are drawn.",
    )
    learning_rate: float = Field(default=0.001, gt=0)
    batch_size: int = Field(default=512, gt=1)
    epochs: int = Field(default=20, gt=0, description="At most; early stopping usually ends sooner.")
    patience: int = Field(default=3, gt=0, description="Epochs without a better validation before stopping.")
    seed: int = 17

    def resolved_negatives(self, *, has_negatives: bool) -> Negatives:
        """What to draw for a log that holds negatives of its own, or none."""
        if self.negatives is not None:
            return self.negatives
        return Negatives() if has_negatives else Negatives(popular=4, uniform=8, history=8)
