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
    retrieval_model: channel.BaseChannel,
) -> CatalogueTrainer:
    """The node RankingTrainer; it waits for the retrieval model only where negatives are drawn from that."""
    retrieves = config.negatives is not None and config.negatives.retrieved > 0
    return CatalogueTrainer(
        run_fn="components.ranking.trainer.run_fn",
        interactions=interactions,
        candidates=candidates,
        schema=schema,
        declaration=declaration,
        config_json=config.model_dump_json(),
        retrieval_model=retrieval_model if retrieves else None,
    ).with_id("RankingTrainer")
