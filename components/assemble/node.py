"""The Assembler: a TFX component that joins both models, the catalogue and the index."""

from __future__ import annotations

from collections.abc import Sequence

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from components.assemble.config import HEADS_JSON, AssembleConfig
from components.assemble.executor import (
    CANDIDATE_EXAMPLES,
    CANDIDATE_GRAPH,
    CONFIG,
    DECLARATION,
    EXAMPLES,
    HEADS,
    MODEL,
    QUERY_GRAPH,
    RANKING_MODEL,
    RETRIEVAL_MODEL,
    TRANSFORMED_CANDIDATES,
    TRANSFORMED_EXAMPLES,
    Executor,
)
from components.ingest.declaration import Declaration
from components.ranking.heads import Head


class AssemblerSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of the Assembler."""

    PARAMETERS = {
        DECLARATION: component_spec.ExecutionParameter(type=str),
        HEADS: component_spec.ExecutionParameter(type=str),
        CONFIG: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        RETRIEVAL_MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
        RANKING_MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
        QUERY_GRAPH: component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
        CANDIDATE_GRAPH: component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
        EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        CANDIDATE_EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        TRANSFORMED_EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        TRANSFORMED_CANDIDATES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model)}


class Assembler(base_component.BaseComponent):
    """Writes one SavedModel with the five served signatures, the catalogue and warm-up requests."""

    SPEC_CLASS = AssemblerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        retrieval_model: channel.BaseChannel,
        ranking_model: channel.BaseChannel,
        query_graph: channel.BaseChannel,
        candidate_graph: channel.BaseChannel,
        examples: channel.BaseChannel,
        candidate_examples: channel.BaseChannel,
        transformed_examples: channel.BaseChannel,
        transformed_candidates: channel.BaseChannel,
        declaration: Declaration,
        heads: Sequence[Head],
        config: AssembleConfig,
    ):
        """Makes the node.

        Args:
            retrieval_model: RetrievalTrainer's export.
            ranking_model: RankingTrainer's export.
            query_graph: InteractionTransform's graph.
            candidate_graph: CandidateTransform's graph.
            examples: Raw interactions; the train split's counts go into the catalogue file.
            candidate_examples: Raw candidates, for their titles.
            transformed_examples: Interactions after Transform; the eval split's tune the index.
            transformed_candidates: The catalogue after Transform.
            declaration: The data half of the domain file.
            heads: Of the ranker.
            config: The assemble section.
        """
        super().__init__(
            spec=AssemblerSpec(
                **{
                    RETRIEVAL_MODEL: retrieval_model,
                    RANKING_MODEL: ranking_model,
                    QUERY_GRAPH: query_graph,
                    CANDIDATE_GRAPH: candidate_graph,
                    EXAMPLES: examples,
                    CANDIDATE_EXAMPLES: candidate_examples,
                    TRANSFORMED_EXAMPLES: transformed_examples,
                    TRANSFORMED_CANDIDATES: transformed_candidates,
                    DECLARATION: declaration.model_dump_json(),
                    HEADS: HEADS_JSON.dump_json(tuple(heads)).decode(),
                    CONFIG: config.model_dump_json(),
                    MODEL: channel.Channel(type=standard_artifacts.Model),
                }
            )
        )
