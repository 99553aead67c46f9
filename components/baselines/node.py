"""The BaselineTrainer's node."""

from __future__ import annotations

from tfx import v1 as tfx
from tfx.types import channel

from components.baselines.config import BaselinesConfig, TrainerConfig
from components.ingest.declaration import Declaration
from components.retrieval.node import CatalogueTrainer


def baseline_trainer(
    interactions: tfx.components.Transform,
    candidates: tfx.components.Transform,
    schema: channel.BaseChannel,
    declaration: Declaration,
    config: BaselinesConfig,
    *,
    repeats: bool,
) -> CatalogueTrainer:
    """The node BaselineTrainer, whose model is for the Evaluators alone."""
    return CatalogueTrainer(
        run_fn="components.baselines.trainer.run_fn",
        interactions=interactions,
        candidates=candidates,
        schema=schema,
        declaration=declaration,
        config_json=TrainerConfig(**config.model_dump(), repeats=repeats).model_dump_json(),
    ).with_id("BaselineTrainer")
