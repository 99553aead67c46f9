"""Configuration of the retrieval model and its training."""

from __future__ import annotations

from pydantic import Field

from components.ingest.strict import Strict

TRAINING_HISTORY_FILE = "training.json"
"""File in a trainer's ModelRun artifact: the metrics of every epoch, by name."""


class RetrievalConfig(Strict):
    """The two towers, their loss and how they are trained; the ``retrieval`` section of a domain file."""

    dim: int = Field(default=64, gt=0, description="Width of the query and candidate embeddings.")
    feature_dim: int = Field(default=16, gt=0, description="Width of each feature's embedding.")
    layers: tuple[int, ...] = Field(default=(128,), description="Hidden layers of each tower; may be empty.")
    normalize: bool = Field(default=False, description="Cosine instead of dot product.")
    temperature: float = Field(default=1.0, gt=0, description="Logits are divided by it.")
    id_dropout: float = Field(
        default=0.1, ge=0, lt=1, description="Share of training ids shown as unknown: teaches cold starts."
    )
    dropout: float = Field(default=0.2, ge=0, lt=1)
    learning_rate: float = Field(default=0.003, gt=0)
    batch_size: int = Field(default=1024, gt=1)
    uniform_negatives: int = Field(
        default=0,
        ge=0,
        description="Candidates drawn evenly from the catalogue that join each batch's own as negatives.",
    )
    epochs: int = Field(default=30, gt=0, description="At most; early stopping usually ends sooner.")
    patience: int = Field(default=4, gt=0, description="Epochs without a better validation before stopping.")
    validation_queries: int = Field(
        default=4096, gt=0, description="Validation looks at this many interactions of the eval split."
    )
    seed: int = 17
