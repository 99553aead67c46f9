"""The AlignmentTrainer's node."""

from __future__ import annotations

from tfx import v1 as tfx
from tfx.types import channel

from components.alignment.config import AlignmentTrainerConfig
from components.ingest.declaration import Declaration
from components.retrieval.node import CatalogueTrainer


def alignment_trainer(
    interactions: tfx.components.Transform,
    candidates: tfx.components.Transform,
    schema: channel.BaseChannel,
    declaration: Declaration,
    config: AlignmentTrainerConfig,
    retrieval_model: channel.BaseChannel,
    ranking_model: channel.BaseChannel,
) -> CatalogueTrainer:
    """The node AlignmentTrainer; its model takes the place of the retrieval model that it is given."""
    return CatalogueTrainer(
        run_fn="components.alignment.trainer.run_fn",
        interactions=interactions,
        candidates=candidates,
        schema=schema,
        declaration=declaration,
        config_json=config.model_dump_json(),
        retrieval_model=retrieval_model,
        ranking_model=ranking_model,
    ).with_id("AlignmentTrainer")
