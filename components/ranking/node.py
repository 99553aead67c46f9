"""The RankingTrainer's node."""

from __future__ import annotations

from tfx import v1 as tfx
from tfx.types import channel

from components.ingest.declaration import Declaration
from components.ranking.config import RankingConfig
from components.retrieval.node import CatalogueTrainer


def ranking_trainer(
    interactions: tfx.components.Transform,
    candidates: tfx.components.Transform,
    schema: channel.BaseChannel,
    declaration: Declaration,
    config: RankingConfig,
) -> CatalogueTrainer:
    """The node RankingTrainer."""
    return CatalogueTrainer(
        run_fn="components.ranking.trainer.run_fn",
        interactions=interactions,
        candidates=candidates,
        schema=schema,
        declaration=declaration,
        config_json=config.model_dump_json(),
    ).with_id("RankingTrainer")
