"""Configuration of the index and of how retrieval and ranking combine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.ingest.strict import Strict


class AssembleConfig(Strict):
    """The ``assemble`` section of a domain file."""

    index: Literal["scann", "exact"] = Field(
        default="scann", description="exact scores every candidate; catalogues under 16 always use it."
    )
    leaves: int | None = Field(default=None, gt=0, description="Default: the catalogue's square root.")
    search_share: float = Field(
        default=0.7, gt=0, le=1, description="Share of the leaves that a request searches."
    )
    retrieve: int = Field(default=200, gt=0, description="Candidates that recommend ranks, at least k.")
    positive_weight: float = Field(
        default=1.0,
        ge=0,
        description="recommend orders by retrieval score + this x log(probability of positive).",
    )
