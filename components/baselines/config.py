"""Which baselines are trained, and how far their hyper-parameters are searched for."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from components.ingest.strict import Count, Seed, Strict, Width

IALS: Final = "ials"
ITEM_KNN: Final = "item_knn"

Positive = Annotated[float, Field(gt=0, le=1_000_000_000)]
Iterations = Annotated[int, Field(ge=1, le=1_000)]
Neighbours = Annotated[int, Field(ge=1, le=10_000)]


class IALSGrid(Strict):
    """Values that the search for iALS' hyper-parameters chooses among; ``evaluation.baselines.ials_grid``."""

    factors: tuple[Width, ...] = Field(
        default=(16, 32, 64), min_length=1, description="Width of the two matrices."
    )
    regularization: tuple[Positive, ...] = Field(
        default=(1.0, 3.0, 10.0, 30.0, 100.0),
        min_length=1,
        description="Weight of the squared lengths of all rows of both.",
    )
    alpha: tuple[Positive, ...] = Field(
        default=(1.0, 4.0, 10.0, 40.0),
        min_length=1,
        description="Confidence in an average interaction; what has not been chosen has confidence 1.",
    )
    iterations: tuple[Iterations, ...] = Field(
        default=(5, 15),
        min_length=1,
        description="Alternations, ascending: each trial is measured after so many.",
    )


class ItemKNNGrid(Strict):
    """Values that the search for item-kNN's chooses among; ``evaluation.baselines.item_knn_grid``."""

    similarity: tuple[Literal["cosine", "tf_idf", "bm25"], ...] = Field(
        default=("cosine", "tf_idf", "bm25"),
        min_length=1,
        description="Of two candidates: the cosine of their columns of queries, plain or with queries of "
        "many interactions counting less, or the product of their BM25 weights.",
    )
    neighbours: tuple[Neighbours, ...] = Field(
        default=(20, 100), min_length=1, description="A candidate's most similar ones that are kept."
    )


class BaselinesConfig(Strict):
    """Simple models that the recommender is held against; ``evaluation.baselines``."""

    ials: bool = Field(
        default=True,
        description="Whether implicit alternating least squares (Hu, Koren and Volinsky 2008) is trained.",
    )
    item_knn: bool = Field(default=True, description="Whether an item-based nearest-neighbour model is.")
    ials_grid: IALSGrid = IALSGrid()
    item_knn_grid: ItemKNNGrid = ItemKNNGrid()
    trials: int = Field(
        default=12,
        gt=0,
        le=10_000,
        description="Combinations of each grid that are tried: its middle, others drawn until there are a "
        "third, then those next to the best so far.",
    )
    search_interactions: Count = Field(
        default=300_000,
        description="The search trains on queries drawn until they have so many positive interactions; what "
        "it chooses is trained on all.",
    )
    validation_queries: Count = Field(
        default=2048, description="The search looks at this many interactions of the eval split."
    )
    seed: Seed = 17

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those that are trained."""
        return tuple(kind for kind, wanted in ((IALS, self.ials), (ITEM_KNN, self.item_knn)) if wanted)


class TrainerConfig(BaselinesConfig):
    """What the BaselineTrainer is told."""

    repeats: bool
    """Whether a query may meet a candidate again; if not, its history is excluded in validation, too."""
