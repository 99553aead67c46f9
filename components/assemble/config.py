"""Configuration of the index and of how retrieval and ranking combine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, field_validator, model_validator

from components.ingest.declaration import POSITIVE, Declaration
from components.ingest.strict import MANY, Strict
from components.ranking.heads import RETRIEVAL, Combination, Head

HEADS_JSON: Final = TypeAdapter(tuple[Head, ...])
"""The ranker's heads to JSON and back, for a step's parameters and a model's description."""
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
        le=MANY,
        description="Catalogues of fewer candidates are searched exactly, whatever the index.",
    )
    leaves: int | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Default: twice the catalogue's square root, for ivf four times.",
    )
    ann_recall: float = Field(
        default=0.98,
        gt=0,
        le=1,
        description="Share of what exact search finds that the index is to find: it searches as "
        "little as does.",
    )
    tune_k: int = Field(
        default=100, gt=0, le=10_000, description="Candidates a query that the index is tuned on asks for."
    )
    retrieve: int = Field(
        default=200,
        gt=0,
        le=100_000,
        description="Candidates that the index finds for recommend to rank, at least k.",
    )
    keep: int | None = Field(
        default=None,
        gt=0,
        le=100_000,
        description="How many of these the light ranker (`retrieval.light_ranker`) leaves for the ranker, at "
        "least k; goes with it.",
    )
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
    weights: dict[str, Annotated[float, Field(ge=-1_000_000, le=1_000_000)]] = Field(
        default={RETRIEVAL: 1.0, POSITIVE: 1.0},
        description="Head of the ranker, or `retrieval`, the towers' score, to its weight in the final "
        "score; 0 for those not named.",
    )
    combination: Combination = Field(
        default="log_linear",
        description="The final score is the sum of weight x what each head says: log_linear takes logarithms "
        "of probabilities, expected_value the probabilities themselves.",
    )

    @field_validator("weights")
    @classmethod
    def _weights_say_something(cls, weights: dict[str, float]) -> dict[str, float]:
        if not any(weights.values()):
            raise ValueError("none is other than 0: nothing would say which candidate is better")
        return weights

    @model_validator(mode="after")
    def _no_more_are_kept_than_found(self) -> AssembleConfig:
        if self.keep is not None and self.keep > self.retrieve:
            raise ValueError(
                f"'keep' is {self.keep}, more than 'retrieve', {self.retrieve}: the light ranker chooses"
                " among what was retrieved. Raise the one or lower the other"
            )
        return self

    def cascade_in_words(self) -> str:
        """What ``recommend`` ranks, in a sentence."""
        said = f"ranks {self.retrieve:,} from the index"
        if self.keep is not None and self.keep < self.retrieve:
            said = f"the light ranker leaves {self.keep:,} of {self.retrieve:,} from the index for the ranker"
        return f"{said}, and those of the history" if self.rank_history else said

    def check(self, declaration: Declaration, heads: Sequence[Head], *, light_ranker: bool) -> None:
        """Holds filters, weights and what is kept against what a domain declares.

        Args:
            declaration: Of the data.
            heads: Of the ranker.
            light_ranker: Whether there is one.

        Raises:
            ValueError: If a filter is no candidate feature, or of a kind that cannot be filtered by; or a
                weight is of no head; or a light ranker is there and not asked, or the other way round.
        """
        if light_ranker and self.keep is None:
            raise ValueError(
                "there is a light ranker (retrieval.light_ranker), and nothing says how much it leaves for"
                " the ranker: set assemble.keep below assemble.retrieve, or to the same to pass it by"
            )
        if self.keep is not None and not light_ranker:
            raise ValueError(
                f"assemble.keep is {self.keep}, and there is no light ranker to choose so many: set "
                "retrieval.light_ranker ({} for its defaults), or leave assemble.keep out"
            )
        known = [RETRIEVAL, *(head.name for head in heads)]
        for name in self.weights:
            if name not in known:
                raise ValueError(
                    f"assemble.weights: there is no head {name!r}; there are: {', '.join(known)}"
                )
        features = declaration.candidates.features
        possible = ", ".join(name for name, one in features.items() if one.kind not in _UNFILTERED) or "none"
        for name in self.filters:
            if name not in features:
                raise ValueError(
                    f"assemble.filters: there is no candidate feature {name!r}; expected some of: {possible}"
                )
            if features[name].kind in _UNFILTERED:
                raise ValueError(
                    f"assemble.filters: {name!r} is of kind {features[name].kind}, which nothing can be "
                    f"filtered by; expected some of: {possible}"
                )
