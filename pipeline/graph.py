"""The whole graph: which steps there are, and what flows between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx

from components.alignment.node import alignment_trainer
from components.assemble.node import Assembler
from components.baselines.node import baseline_trainer
from components.evaluate.baseline import BaselineResolver
from components.evaluate.evaluator import evaluator, reporting_evaluator
from components.ingest.declaration import CATALOGUE_SPLIT
from components.ingest.example_schema import candidate_features, complete_schema, interaction_features
from components.ingest.gate.anomaly_gate import AnomalyGate
from components.ingest.gate.comparison import DistributionComparison, drift_comparison, skew_comparison
from components.ingest.gate.distributions import Distributions
from components.ingest.gate.published_statistics import StatisticsBaselineResolver
from components.ingest.nodes import candidate_gen, interaction_gen
from components.ingest.schema_gen import SchemaGen
from components.ingest.split import SPLITS
from components.push.pusher import pusher
from components.ranking.node import ranking_trainer
from components.retrieval.node import retrieval_trainer
from components.transform.interactions import DECLARATION_KEY
from components.validate_serving.node import InfraValidator
from pipeline.domain import Domain
from pipeline.schema_files import CANDIDATE_SCHEMA, INTERACTION_SCHEMA, read_schema

LOCAL_BEAM_ARGS = (
    # Without a runner named, Beam tries to download another one first.
    "--runner=FnApiRunner",
    # Keeps TFX from building a source distribution for each Beam step; nothing reads it locally.
    "--sdk_container_image=local",
)


@dataclass(frozen=True)
class Places:
    """Where a pipeline reads and writes; strings, because in production they are object-store URIs.

    Attributes:
        data: Directory that the domain file's relative file names are under.
        artifacts: Where the steps' outputs go.
        serving: Base directory of the pushed versions.
        statistics: Where statistics of data that passed are kept, for the next data to be compared with.
    """

    data: str
    artifacts: str
    serving: str
    statistics: str


def create_pipeline(
    domain: Domain,
    places: Places,
    *,
    beam_args: Sequence[str] = LOCAL_BEAM_ARGS,
    metadata: metadata_store_pb2.ConnectionConfig | None = None,
    enable_cache: bool = True,
) -> tfx.dsl.Pipeline:
    """The pipeline of a domain, for any orchestrator.

    Args:
        domain: What the data is and how to train; its folder holds the two schemas.
        places: Where to read and write.
        beam_args: Beam's arguments; the default runs in this process.
        metadata: Connection to ML Metadata; not needed where the orchestrator has its own.
        enable_cache: Whether a step whose inputs and settings are unchanged is skipped.

    Raises:
        UserError: If a schema is missing or cannot be read.
    """
    data = domain.declaration
    custom_config = {DECLARATION_KEY: data.model_dump_json()}

    interactions = interaction_gen(data, places.data)
    candidates = candidate_gen(data, places.data)
    query_examples, item_examples = interactions.outputs["examples"], candidates.outputs["examples"]

    interaction_statistics = tfx.components.StatisticsGen(query_examples).with_id("InteractionStatistics")
    candidate_statistics = tfx.components.StatisticsGen(item_examples).with_id("CandidateStatistics")
    interaction_schema, candidate_schema = schema_nodes(domain)
    query_schema, item_schema = interaction_schema.outputs["schema"], candidate_schema.outputs["schema"]
    interaction_validator = tfx.components.ExampleValidator(
        interaction_statistics.outputs["statistics"], query_schema
    ).with_id("InteractionValidator")
    candidate_validator = tfx.components.ExampleValidator(
        candidate_statistics.outputs["statistics"], item_schema
    ).with_id("CandidateValidator")
    statistics = {
        "interaction": interaction_statistics.outputs["statistics"],
        "candidate": candidate_statistics.outputs["statistics"],
    }
    earlier, comparisons = compare_distributions(domain.distributions, places, statistics)
    gate = AnomalyGate(
        interaction_anomalies=interaction_validator.outputs["anomalies"],
        candidate_anomalies=candidate_validator.outputs["anomalies"],
        comparisons={key: node.outputs["anomalies"] for key, node in comparisons.items()},
        statistics=statistics,
        declaration=data,
        over_threshold=domain.distributions.over_threshold,
        published=places.statistics if domain.distributions.compares_spans else "",
    )

    interaction_transform = tfx.components.Transform(
        query_examples,
        query_schema,
        preprocessing_fn="components.transform.interactions.preprocessing_fn",
        custom_config=custom_config,
        # Nobody reads statistics of the encoded features, and they cost half of the step.
        disable_statistics=True,
    ).with_id("InteractionTransform")
    candidate_transform = tfx.components.Transform(
        item_examples,
        item_schema,
        preprocessing_fn="components.transform.candidates.preprocessing_fn",
        splits_config=tfx.proto.SplitsConfig(analyze=[CATALOGUE_SPLIT], transform=[CATALOGUE_SPLIT]),
        custom_config=custom_config,
        disable_statistics=True,
    ).with_id("CandidateTransform")
    for transform in (interaction_transform, candidate_transform):
        transform.add_upstream_node(gate)

    retrieval = retrieval_trainer(
        interaction_transform,
        candidate_transform,
        query_schema,
        data,
        domain.retrieval,
        repeats=domain.evaluation.repeats,
    )
    ranking = ranking_trainer(
        interaction_transform,
        candidate_transform,
        query_schema,
        data,
        domain.ranking,
        retrieval.outputs["model"],
    )
    aligned = domain.aligned
    alignment = (
        alignment_trainer(
            interaction_transform,
            candidate_transform,
            query_schema,
            data,
            aligned,
            retrieval.outputs["model"],
            ranking.outputs["model"],
        )
        if aligned
        else None
    )
    towers = alignment or retrieval
    trained = domain.evaluation.baselines
    baselines = (
        baseline_trainer(
            interaction_transform,
            candidate_transform,
            query_schema,
            data,
            trained,
            repeats=domain.evaluation.repeats,
        )
        if trained.kinds
        else None
    )
    rivals = baselines.outputs["model"] if baselines else None

    assembler = Assembler(
        retrieval_model=towers.outputs["model"],
        ranking_model=ranking.outputs["model"],
        query_graph=interaction_transform.outputs["transform_graph"],
        candidate_graph=candidate_transform.outputs["transform_graph"],
        examples=query_examples,
        candidate_examples=item_examples,
        transformed_examples=interaction_transform.outputs["transformed_examples"],
        transformed_candidates=candidate_transform.outputs["transformed_examples"],
        declaration=data,
        heads=domain.heads,
        config=domain.assemble,
    )
    model = assembler.outputs["model"]
    pushed = BaselineResolver(model, places.serving)
    gated = evaluator(
        query_examples,
        model,
        pushed.outputs["baseline"],
        rivals,
        query_schema,
        data,
        domain.heads,
        domain.evaluation,
    )
    reported = reporting_evaluator(
        query_examples, model, rivals, query_schema, data, domain.heads, domain.evaluation
    )
    servable = InfraValidator(model=model, config=domain.serving)
    push = pusher(model, gated.outputs["blessing"], servable.outputs["blessing"], places.serving)

    return tfx.dsl.Pipeline(
        pipeline_name=f"westwork-{domain.name}",
        pipeline_root=places.artifacts,
        components=[
            interactions,
            candidates,
            interaction_statistics,
            candidate_statistics,
            interaction_schema,
            candidate_schema,
            interaction_validator,
            candidate_validator,
            *earlier,
            *comparisons.values(),
            gate,
            interaction_transform,
            candidate_transform,
            retrieval,
            ranking,
            *([alignment] if alignment else []),
            *([baselines] if baselines else []),
            assembler,
            servable,
            pushed,
            gated,
            reported,
            push,
        ],
        enable_cache=enable_cache,
        metadata_connection_config=metadata,
        beam_pipeline_args=list(beam_args),
    )


def local_places(root: Path) -> Places:
    """The layout of a run root on this machine."""
    return Places(
        data=str(root / "data"),
        artifacts=str(root / "artifacts"),
        serving=str(root / "serving"),
        statistics=str(root / "statistics"),
    )


def schema_nodes(domain: Domain) -> tuple[SchemaGen, SchemaGen]:
    """The nodes whose outputs are the schemas of both streams: the user's, and what follows from the domain.

    Raises:
        UserError: If a schema is missing or cannot be read.
    """
    data = domain.declaration
    interactions = complete_schema(
        read_schema(domain.folder / INTERACTION_SCHEMA), interaction_features(data)
    )
    candidates = complete_schema(read_schema(domain.folder / CANDIDATE_SCHEMA), candidate_features(data))
    return (
        SchemaGen(interactions).with_id("InteractionSchema"),
        SchemaGen(candidates).with_id("CandidateSchema"),
    )


def compare_distributions(
    wanted: Distributions, places: Places, statistics: Mapping[str, tfx.dsl.Channel]
) -> tuple[list[StatisticsBaselineResolver], dict[str, DistributionComparison]]:
    """The nodes that compare distributions, as far as there are thresholds for them.

    Args:
        wanted: The thresholds.
        places: Where earlier statistics are.
        statistics: The new data's, by stream.

    Returns:
        The nodes that find what to compare with, and the comparisons by the gate's input.
    """
    baselines, comparisons = [], {}
    if wanted.compares_spans:
        baseline = StatisticsBaselineResolver(
            statistics["interaction"], statistics["candidate"], places.statistics
        )
        baselines.append(baseline)
        for stream, splits, thresholds in (
            ("interaction", SPLITS, wanted.drift.interactions),
            ("candidate", (CATALOGUE_SPLIT,), wanted.drift.candidates),
        ):
            if thresholds:
                comparisons[f"{stream}_drift"] = drift_comparison(
                    statistics[stream], baseline.outputs[f"{stream}_baseline"], splits, thresholds
                ).with_id(f"{stream.title()}Drift")
    if wanted.skew:
        skew = skew_comparison(statistics["interaction"], wanted.skew)
        comparisons["interaction_skew"] = skew.with_id("InteractionSkew")
    return baselines, comparisons
