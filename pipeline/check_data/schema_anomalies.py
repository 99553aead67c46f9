"""Whether the values agree with the schemas: TFDV on the very examples ingestion would write."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from components.ingest.declaration import CATALOGUE_SPLIT
from components.ingest.examples import encode_examples, string_entries
from components.ingest.gate.anomalies import describe_anomalies
from components.ingest.partition import Catalogue, Partition
from components.ingest.plan import InteractionPlan
from components.ingest.split import SPLITS, CutPoints
from pipeline.check_data.kept_queries import KeptQueries
from pipeline.check_data.report import Finding
from pipeline.schema_files import CANDIDATE_SCHEMA, INTERACTION_SCHEMA

Statistics = Mapping[str, statistics_pb2.DatasetFeatureStatisticsList]
"""By name of the split."""

LOOKED_AT = 200_000
"""Examples of either stream that are looked at."""
_SEED = 7


def interaction_statistics(
    plan: InteractionPlan,
    candidate_ids: pa.Array,
    kept: KeptQueries,
    attributes: pa.Table | None,
    cuts: CutPoints | None,
) -> Statistics:
    """Computes the statistics of interaction examples of some queries, split by split.

    Args:
        plan: How examples are made.
        candidate_ids: [m] strings, the catalogue.
        kept: The interactions; at most :data:`LOOKED_AT` of them are looked at, of whole queries.
        attributes: The queries table, typed.
        cuts: Where a split by time is cut.

    Returns:
        By name of every split that has examples.
    """
    some = kept.part(LOOKED_AT)
    catalogue = Catalogue(candidate_ids, string_entries(candidate_ids))
    partition = Partition(plan, catalogue, some.batches, attributes)
    splits = partition.splits(cuts)
    rows = {split: np.flatnonzero(splits == code) for code, split in enumerate(SPLITS)}
    return {split: _statistics(partition.encode(some)) for split, some in rows.items() if len(some)}


def interaction_anomalies(
    schema: schema_pb2.Schema, plan: InteractionPlan, statistics: Statistics
) -> list[tuple[str, Finding]]:
    """Holds interaction examples, split by split, against their schema.

    Args:
        schema: To hold them against.
        plan: How examples are made.
        statistics: Theirs, of :func:`interaction_statistics`.

    Returns:
        The feature ("" for all of them) and what is wrong with it.
    """
    # What is wrong with a feature differs between splits in its numbers only: the first split's are shown.
    found: dict[tuple[str, str], list[str]] = {}
    descriptions: dict[tuple[str, str], str] = {}
    for split, of_split in statistics.items():
        for feature, description in _anomalies(schema, of_split):
            anomaly = feature, description.partition(": ")[0]
            descriptions.setdefault(anomaly, description)
            found.setdefault(anomaly, []).append(split)
    sources = ", ".join(source.files for source in plan.interactions.sources)
    of_queries = {column.name for column in plan.attributes}
    return [
        _finding(
            INTERACTION_SCHEMA,
            plan.queries.files if plan.queries and feature in of_queries else sources,
            feature,
            f"split {' and '.join(in_splits)}: {descriptions[feature, kind]}",
        )
        for (feature, kind), in_splits in found.items()
    ]


def candidate_anomalies(
    schema: schema_pb2.Schema, catalogue: pa.Table, files: str
) -> list[tuple[str, Finding]]:
    """Holds candidate examples against their schema.

    Args:
        schema: To hold them against.
        catalogue: Typed, at least one row; at most :data:`LOOKED_AT` of them, drawn evenly, are looked at.
        files: The table's pattern, for the messages.

    Returns:
        The feature ("" for all of them) and what is wrong with it.
    """
    rows = np.arange(catalogue.num_rows)
    if len(rows) > LOOKED_AT:
        rows = np.random.default_rng(_SEED).choice(rows, LOOKED_AT, replace=False)
    taken = catalogue.take(pa.array(rows))
    examples = encode_examples({name: taken[name].combine_chunks() for name in taken.column_names})
    return [
        _finding(CANDIDATE_SCHEMA, files, feature, f"split {CATALOGUE_SPLIT}: {description}")
        for feature, description in _anomalies(schema, _statistics(examples))
    ]


def _statistics(examples: pa.Array) -> statistics_pb2.DatasetFeatureStatisticsList:
    batch = ExamplesToRecordBatchDecoder().DecodeBatch(examples.to_pylist())
    return generate_statistics_in_memory(batch)


def _anomalies(
    schema: schema_pb2.Schema, statistics: statistics_pb2.DatasetFeatureStatisticsList
) -> list[tuple[str, str]]:
    """Feature ("" for all of them) and description of every anomaly."""
    return list(describe_anomalies(tfdv.validate_statistics(statistics, schema)))


def _finding(about: str, files: str, feature: str, found: str) -> tuple[str, Finding]:
    place = f"{files}, column {feature!r}" if feature else files
    message = f"{place}, {found.rstrip(' .')}. Correct the values; or, where they are right, the schema."
    return feature, Finding(level="error", about=about, message=message)
