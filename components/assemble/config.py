"""Configuration of the index and of how retrieval and ranking combine."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from components.ingest.declaration import Declaration
from components.ingest.strict import Strict

_UNFILTERED: Final = ("text", "embedding")
"""Kinds of features whose values nobody asks for."""

IndexKind = Literal["scann", "ivf", "exact"]


class AssembleConfig(Strict):
    """The ``assemble`` section of a domain file."""

    index: IndexKind = Field(
        default="scann",
        description="scann needs a server with its ops; ivf and exact are stock TensorFlow; exact scores "
        "every candidate.",
    )
    exact_below: int = Field(
        default=4_000,
        ge=0,
        description="Catalogues of fewer candidates are searched exactly, whatever the index.",
    )
    leaves: int | None = Field(
        default=None, gt=0, description="Default: the catalogue's square root, for ivf four times as many."
    )
    ann_recall: float = Field(
        default=0.98,
        gt=0,
        le=1,
        description="Share of what exact search finds that the index is to find: it searches the fewest "
        "leaves that do.",
    )
    tune_k: int = Field(
        default=100, gt=0, description="Candidates a query of the search for those leaves asks for."
    )
    retrieve: int = Field(default=200, gt=0, description="Candidates that recommend ranks, at least k.")
    rank_history: bool = Field(
        default=False,
        description="Whether recommend also ranks the candidates of the query's own history, retrieved or "
        "not: for people who come back to the same.",
    )
    filters: tuple[str, ...] = Field(
        default=(),
        description="Candidate features that a request may filter by: in stock, of a category, not above a "
        "price. Each is an input `filter_<feature>` of retrieve and recommend.",
    )
    retrieval_weight: float = Field(
        default=1.0,
        ge=0,
        description="recommend orders by this x retrieval score + positive_weight x log(probability of "
        "positive). 0 leaves the order to the ranker alone.",
    )
    positive_weight: float = Field(default=1.0, ge=0, description="See retrieval_weight.")

    def check(self, declaration: Declaration) -> None:
        """Holds the filters against what a domain declares.

        Raises:
            ValueError: If one is no candidate feature, or of a kind that cannot be filtered by.
        """
        features = declaration.candidates.features
        possible = ", ".join(name for name, one in features.items() if one.kind not in _UNFILTERED) or "none"
        for name in self.filters:
            if name not in features:
                raise ValueError(
                    f"filters: there is no candidate feature {name!r}; expected some of: {possible}"
                )
            if features[name].kind in _UNFILTERED:
                raise ValueError(
                    f"filters: {name!r} is of kind {features[name].kind}, which nothing can be filtered by; "
                    f"expected some of: {possible}"
                )
