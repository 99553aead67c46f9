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
    rank_history: bool = Field(
        default=False,
        description="Whether recommend also ranks the candidates of the query's own history, retrieved or "
        "not: for people who come back to the same.",
    )
    retrieval_weight: float = Field(
        default=1.0,
        ge=0,
        description="recommend orders by this x retrieval score + positive_weight x log(probability of "
        "positive). 0 leaves the order to the ranker alone.",
    )
    positive_weight: float = Field(default=1.0, ge=0, description="See retrieval_weight.")
