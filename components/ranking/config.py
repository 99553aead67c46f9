"""Configuration of the ranking model and its training."""

from __future__ import annotations

from pydantic import Field

from components.ingest.strict import Strict


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
    rating_weight: float = Field(default=1.0, ge=0, description="Weight of the rating head's loss.")
    positive_weight: float = Field(default=1.0, ge=0, description="Weight of the positive head's loss.")
    learning_rate: float = Field(default=0.001, gt=0)
    batch_size: int = Field(default=512, gt=1)
    epochs: int = Field(default=20, gt=0, description="At most; early stopping usually ends sooner.")
    patience: int = Field(default=3, gt=0, description="Epochs without a better validation before stopping.")
    seed: int = 17
