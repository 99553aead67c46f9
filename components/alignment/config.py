"""Configuration of what the towers learn from the ranker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field, model_validator

from components.ingest.strict import (
    BatchSize,
    Count,
    Epochs,
    PositiveWeight,
    Seed,
    Strict,
    Temperature,
    Weight,
)
from components.ranking.heads import RETRIEVAL, Combination, Head
from components.retrieval.config import OptimizerConfig, RetrievalConfig


class JudgedCandidates(Strict):
    """Which candidates the ranker judges for each query at each step; ``alignment.candidates``."""

    retrieved: int = Field(
        default=32,
        ge=0,
        le=10_000,
        description="Drawn for each query from the best `retrieved_from` that the towers retrieve as they "
        "are, by their own distribution and each once: the list of `preference`.",
    )
    retrieved_from: int = Field(default=200, gt=0, le=100_000, description="How many of the best those are.")
    in_batch: int = Field(
        default=16,
        ge=0,
        le=10_000,
        description="Drawn from the batch's own candidates; all its queries share them.",
    )
    uniform: int = Field(
        default=16,
        ge=0,
        le=10_000,
        description="Drawn evenly from the catalogue; all queries of the batch share them.",
    )

    @property
    def total(self) -> int:
        """Candidates judged for each query."""
        return self.retrieved + self.in_batch + self.uniform

    @model_validator(mode="after")
    def _fits(self) -> JudgedCandidates:
        if self.retrieved > self.retrieved_from:
            raise ValueError(
                f"'retrieved' is {self.retrieved}, more than the {self.retrieved_from} of 'retrieved_from' "
                "that they are drawn from, each once"
            )
        return self


class DistillationConfig(Strict):
    """The towers learn final scores; ``alignment.distillation``."""

    weight: PositiveWeight = Field(default=1.0, description="Of this part of the loss.")
    loss: Literal["kl", "margin_mse"] = Field(
        default="kl",
        description="`kl`: divergence of the towers' softmax over the judged candidates from that of final "
        "scores; `margin_mse`: squared error of the difference between a positive and each of them.",
    )
    temperature: Temperature = Field(
        default=1.0, description="Of `kl`: both are divided by it; higher: lower places count more."
    )


class PreferenceConfig(Strict):
    """The ranker as a reward model of what the towers retrieve; ``alignment.preference``."""

    weight: PositiveWeight = Field(default=1.0, description="Of this part of the loss.")
    method: Literal["policy_gradient", "dpo"] = Field(
        default="dpo",
        description="`dpo` fits the towers to preferences between any two of the candidates retrieved; "
        "`policy_gradient` raises the expected reward of a list drawn by the towers.",
    )
    list_size: int = Field(
        default=1,
        gt=0,
        le=1_000,
        description="Of `policy_gradient`: how many candidates the list is drawn of.",
    )
    beta: PositiveWeight = Field(
        default=1.0,
        description="What holds the towers near where they began: of `policy_gradient` the weight of the "
        "divergence beside rewards, of `dpo` its own beta. Smaller: rewards count more.",
    )


class AlignmentConfig(Strict):
    """What the towers learn from the ranker, and how; the ``alignment`` section of a domain file."""

    distillation: DistillationConfig | None = Field(
        default=None, description="The towers learn final scores. Absent: they do not."
    )
    preference: PreferenceConfig | None = Field(
        default=None, description="The ranker rewards what the towers retrieve. Absent: it does not."
    )
    supervised: Weight = Field(
        default=1.0, description="Weight of the loss that the towers were trained with."
    )
    candidates: JudgedCandidates = JudgedCandidates()
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=0.001)
    batch_size: BatchSize = 1024
    epochs: Epochs = Field(default=5, description="At most; early stopping may end sooner.")
    patience: Epochs = Field(default=2, description="Epochs without a better validation before stopping.")
    validation_queries: Count = Field(
        default=4096, description="Validation looks at this many interactions of the eval split."
    )
    seed: Seed = 17

    @model_validator(mode="after")
    def _something_is_taught(self) -> AlignmentConfig:
        if not (self.distillation or self.preference):
            raise ValueError(
                "found neither 'distillation' nor 'preference', so the ranker would teach nothing; expected "
                "one of them, such as 'distillation: {}', or no section at all"
            )
        if self.preference and self.candidates.retrieved < 2:
            raise ValueError(
                "'preference' is about the candidates retrieved, but 'candidates.retrieved' is "
                f"{self.candidates.retrieved}; expected 2 or more"
            )
        if self.candidates.total < 2:
            raise ValueError(
                f"'candidates' has the ranker judge {self.candidates.total} a query; expected 2 or more"
            )
        return self

    def check(self, weights: Mapping[str, float]) -> None:
        """Holds the section against the final score that it is to teach.

        Args:
            weights: ``assemble.weights``.

        Raises:
            ValueError: If the ranker has no part in it.
        """
        if not any(weight for name, weight in weights.items() if name != RETRIEVAL):
            raise ValueError(
                "alignment: assemble.weights gives no head of the ranker a weight other than 0, so it has "
                "nothing to teach; give one, such as 'positive: 1.0', or leave the alignment section out"
            )

    def training(self, retrieval: RetrievalConfig) -> RetrievalConfig:
        """The towers' section with what alignment trains them by.

        One device: the ranker's export is loaded by one process.
        """
        return retrieval.model_copy(
            update={
                "strategy": "one_device",
                "optimizer": self.optimizer,
                "batch_size": self.batch_size,
                "epochs": self.epochs,
                "patience": self.patience,
                "validation_queries": self.validation_queries,
                "seed": self.seed,
            }
        )


class AlignmentTrainerConfig(AlignmentConfig):
    """What the AlignmentTrainer step is told: the section, and what follows from others.

    Attributes:
        retrieval: The retrieval section that the towers were built from.
        repeats: Whether a query may meet a candidate again; else nothing of its history is shown.
        rank_history: ``assemble.rank_history``.
        heads: Of the ranker.
        weights: ``assemble.weights``.
        combination: ``assemble.combination``.
        retrieve: ``assemble.retrieve``.
        keep: ``assemble.keep``: how many of these the light ranker leaves for the ranker. None: all.
    """

    retrieval: RetrievalConfig
    repeats: bool
    rank_history: bool
    heads: Sequence[Head]
    weights: Mapping[str, float]
    combination: Combination
    retrieve: int
    keep: int | None

    @property
    def retrieves_history(self) -> bool:
        """Whether the history's candidates have to be retrieved to be shown: not what is ranked anyway."""
        return self.repeats and not self.rank_history
