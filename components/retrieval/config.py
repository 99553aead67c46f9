"""Configuration of the retrieval model and its training."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from pydantic import Field, model_validator

from components.ingest.declaration import Interactions
from components.ingest.strict import (
    MANY,
    BatchSize,
    Count,
    Epochs,
    Layers,
    LearningRate,
    PositiveWeight,
    Seed,
    Strict,
    Temperature,
    Weight,
    Width,
)

TRAINING_HISTORY_FILE = "training.json"
"""File in a trainer's ModelRun artifact: the metrics of every epoch, by name."""
LIGHT_RANKER = "light_ranker"
"""Under what name the exported ``embed_query`` gives the light ranker's embeddings."""


class HistoryEncoderConfig(Strict):
    """How a query's history becomes one vector; ``retrieval.history``."""

    encoder: Literal["mean", "attention", "none"] = Field(
        default="mean", description="None: the history is not looked at."
    )
    shared: bool = Field(
        default=False,
        description="Events use the candidate tower's id embeddings instead of a table of their own.",
    )
    event_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Share of the history's events hidden in training."
    )
    half_life: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Of the mean: an event so many events further back counts half. None: all alike.",
    )
    divisor: Literal["length", "sqrt_length"] = Field(
        default="length",
        description="Of the mean: the sum is divided by the number of events, or by its square root.",
    )
    layers: int = Field(default=1, gt=0, le=32, description="Of attention: blocks.")
    heads: int = Field(default=1, gt=0, le=128, description="Of attention: heads; they divide 'dim'.")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="Of attention: after each sub-layer.")
    positions: bool = Field(default=True, description="Of attention: an embedding of the place from the end.")
    ages: bool = Field(default=True, description="Of attention: an embedding of the event's age.")
    actions: bool = Field(
        default=True, description="Of attention: an embedding of the event's action, where there are several."
    )


class LossConfig(Strict):
    """What a positive interaction is held against; ``retrieval.loss``."""

    kind: Literal["sampled_softmax", "full_softmax", "binary_cross_entropy", "full_binary_cross_entropy"] = (
        Field(
            default="sampled_softmax",
            description="Full: against the whole catalogue at each step, instead of what is drawn from it.",
        )
    )
    in_batch: bool = Field(default=True, description="The batch's other candidates are negatives.")
    uniform_negatives: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Candidates drawn evenly from the catalogue for each batch; all its queries share them.",
    )
    correction: Literal["logq", "positive_not_sampled", "none"] = Field(
        default="logq",
        description=(
            "Of the sampled softmax: for how often a candidate is drawn (Yi et al. 2019), or also for the"
            " positive not being drawn at all (Khrylchenko et al. 2025)."
        ),
    )
    hard_negatives: int | None = Field(
        default=None, gt=0, le=1_000_000, description="Only so many negatives with the highest scores count."
    )
    negative_weight: PositiveWeight = Field(
        default=1.0,
        description="Of binary cross-entropy: what the negatives together weigh beside the positive.",
    )
    inverse_propensity: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description=(
            "An interaction weighs its candidate's training count to minus this power, 1 in the mean: above 0"
            " what is seen seldom counts for more (Saito et al. 2020 use 0.5)."
        ),
    )

    @property
    def positives_only(self) -> bool:
        """Whether training is on positives alone, as a softmax is; else on pairs of either label."""
        return not self.kind.endswith("binary_cross_entropy")

    @model_validator(mode="after")
    def _negatives_exist(self) -> LossConfig:
        if self.kind == "sampled_softmax" and not (self.in_batch or self.uniform_negatives):
            raise ValueError(
                "'sampled_softmax' without negatives: set 'in_batch: true' or 'uniform_negatives' above 0"
            )
        if self.kind.startswith("full_"):
            for name in ("uniform_negatives", "hard_negatives"):
                if getattr(self, name):
                    raise ValueError(
                        f"'{name}' are drawn ones: not with '{self.kind}', which is over all candidates"
                    )
        return self


class Debias(Strict):
    """What is taken off a positive interaction's weight before it trains; ``retrieval.debias``."""

    position: bool = Field(
        default=True, description="The part that is due to the place where the candidate was shown."
    )
    user: bool = Field(default=True, description="The part that is due to how often the query is positive.")
    clip: float = Field(
        default=10.0,
        ge=1,
        le=1_000_000,
        description="Most that a weight is multiplied by, before all are scaled back.",
    )

    @model_validator(mode="after")
    def _something_is_taken_off(self) -> Debias:
        if not (self.position or self.user):
            raise ValueError("found neither position nor user; expected one of them true, or no 'debias'")
        return self

    def check(self, log: Interactions) -> None:
        """Holds the section against the log it is for.

        Raises:
            ValueError: If the log has no position, or nothing that differs in value.
        """
        if self.position and log.position is None:
            raise ValueError(
                "retrieval.debias takes the position's part off, but the domain declares no position: add "
                "interactions.position, the column of the place where a candidate was shown, or set "
                "'retrieval.debias.position: false'"
            )
        if len(log.values) < 2:
            raise ValueError(
                "retrieval.debias takes values apart, but every interaction of the log is worth the same: "
                "expected actions of several weights (0 for what was shown and passed over), or a rating. "
                "Remove 'retrieval.debias'"
            )


class LightRankerConfig(Strict):
    """Several embeddings of a query that score what the index finds; ``retrieval.light_ranker``."""

    query_embeddings: int = Field(
        default=4, gt=0, le=256, description="Embeddings of a query beside the tower's own."
    )
    dim: Width = Field(default=32, description="Width of each, and of a candidate's for them.")
    temperature: Temperature = Field(
        default=1.0,
        description="Of the softmax by which a candidate weighs them; lower: the nearest alone counts.",
    )
    weight: PositiveWeight = Field(default=1.0, description="Of its loss beside the towers'.")
    stop_gradient: bool = Field(
        default=True,
        description="Whether its loss leaves the towers as they are, and what they retrieve.",
    )


class OptimizerConfig(Strict):
    """How weights follow gradients; ``retrieval.optimizer``."""

    kind: Literal["lazy_adam", "adam", "adagrad", "sgd"] = Field(
        default="lazy_adam",
        description="Lazy: an embedding that a batch does not use is left alone, moments included.",
    )
    learning_rate: LearningRate = 0.003
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="Cosine: falls to nothing over 'epochs'."
    )
    warmup_steps: int = Field(
        default=0, ge=0, le=MANY, description="The rate rises evenly over so many first steps."
    )
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="Of dense layers: decoupled weight decay (AdamW); not of embeddings.",
    )


class RetrievalConfig(Strict):
    """The two towers, their loss and how they are trained; the ``retrieval`` section of a domain file."""

    dim: Width = Field(default=64, description="Width of the query and candidate embeddings.")
    feature_dim: Width = Field(default=16, description="Width of each feature's embedding.")
    layers: Layers | None = Field(
        default=(128,),
        description=(
            "Hidden layers of each tower; empty: one linear layer. None: no tower, the embeddings of id and"
            " history and linear projections of the features are added; without features, factorisation."
        ),
    )
    query_id: bool = Field(default=True, description="Whether queries have an id embedding.")
    history: HistoryEncoderConfig = HistoryEncoderConfig()
    similarity: Literal["dot", "cosine"] = Field(
        default="dot", description="Cosine: of embeddings of unit length; wants a temperature near 0.1."
    )
    bias: bool = Field(
        default=True, description="A candidate's own part of the similarity, whatever the query: popularity."
    )
    temperature: Temperature = Field(default=1.0, description="Similarities are divided by it in the loss.")
    learn_temperature: bool = Field(default=False, description="'temperature' is only where it starts.")
    loss: LossConfig = LossConfig()
    debias: Debias | None = Field(
        default=None, description="Whether an interaction weighs only what is its candidate's doing."
    )
    l2: Weight = Field(
        default=0.0,
        description=(
            "Weight of the squared lengths of each interaction's two embeddings in the loss; of"
            " 'full_binary_cross_entropy' of the negatives' pairs too."
        ),
    )
    id_dropout: float = Field(
        default=0.1, ge=0, lt=1, description="Share of training ids shown as unknown: teaches cold starts."
    )
    dropout: float = Field(default=0.2, ge=0, lt=1, description="Of hidden layers.")
    light_ranker: LightRankerConfig | None = Field(
        default=None,
        description="Scores what the index finds, so that the ranker gets `assemble.keep` of it; None: there"
        " is none.",
    )
    optimizer: OptimizerConfig = OptimizerConfig()
    batch_size: BatchSize = 1024
    epochs: Epochs = Field(default=30, description="At most; early stopping usually ends sooner.")
    patience: Epochs = Field(default=4, description="Epochs without a better validation before stopping.")
    validation_queries: Count = Field(
        default=4096, description="Validation looks at this many interactions of the eval split."
    )
    strategy: Literal["one_device", "mirrored", "multi_worker"] = Field(
        default="one_device",
        description=(
            "tf.distribute: one process on one device, on all its devices, or one of the workers that"
            " TF_CONFIG names. 'batch_size' is that of all replicas together."
        ),
    )
    seed: Seed = 17

    @model_validator(mode="after")
    def _fits(self) -> RetrievalConfig:
        if self.history.encoder == "attention" and self.dim % self.history.heads:
            raise ValueError(
                f"'history.heads' is {self.history.heads}, which does not divide 'dim', {self.dim}"
            )
        return self

    def check(self, query_features: Collection[str]) -> None:
        """Holds the section against the data it is for.

        Args:
            query_features: Names of context and attributes.

        Raises:
            ValueError: If nothing is left to tell one query from another.
        """
        if not (self.query_id or query_features or self.history.encoder != "none"):
            raise ValueError(
                "retrieval: 'query_id: false' and 'history.encoder: none', and the domain declares neither"
                " context nor attributes of queries: all queries would be alike. Allow one of the two, or"
                " declare a feature"
            )


class TrainerConfig(RetrievalConfig):
    """What the RetrievalTrainer step is told: the section, and what follows from others.

    Attributes:
        repeats: Whether a query may meet a candidate again; else validation leaves out what the history
            holds, as the evaluation does.
    """

    repeats: bool
