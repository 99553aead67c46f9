"""Comparing distributions: a new span's with the last one's (drift), eval's with train's (skew)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2
from tfx import types
from tfx.components import DistributionValidator
from tfx.components.distribution_validator import executor
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto import distribution_validator_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import json_utils, proto_utils

from components.ingest.gate.differences import Difference, differences, set_comparator
from components.ingest.gate.distributions import Threshold
from components.ingest.strict import Strict

_CONFIG_KEY = standard_component_specs.DISTRIBUTION_VALIDATOR_CONFIG_KEY
_PAIRS_KEY = standard_component_specs.INCLUDE_SPLIT_PAIRS_KEY
_FILE = "comparison.json"


class Comparison(Strict):
    """What a comparison found."""

    span: int
    """Number of the newest span compared; 0 where the log is not in spans."""
    baseline_span: int | None
    """The same of what it is compared with; None where there is nothing to compare with yet."""
    differences: tuple[Difference, ...]
    """By split, then by feature."""


def read_comparison(artifact: types.Artifact) -> Comparison:
    """Reads what a comparison node found from its output ``anomalies``."""
    with fileio.open(os.path.join(artifact.uri, _FILE)) as file:
        return Comparison.model_validate_json(file.read())


class Executor(executor.Executor):
    """TFX' DistributionValidator, and beside its anomalies every distance, also those within bounds."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the step. Without a baseline (one that has no splits) it finds nothing."""
        statistics = artifact_utils.get_single_instance(input_dict[standard_component_specs.STATISTICS_KEY])
        baseline = artifact_utils.get_single_instance(
            input_dict[standard_component_specs.BASELINE_STATISTICS_KEY]
        )
        output = artifact_utils.get_single_instance(output_dict[standard_component_specs.ANOMALIES_KEY])
        config = _config(exec_properties[_CONFIG_KEY])
        if not artifact_utils.decode_split_names(baseline.split_names):
            output.split_names = artifact_utils.encode_split_names([])
            fileio.makedirs(output.uri)
            found = Comparison(span=statistics.span, baseline_span=None, differences=())
        else:
            super().Do(input_dict, output_dict, {**exec_properties, _CONFIG_KEY: config})
            found = Comparison(
                span=statistics.span,
                baseline_span=baseline.span,
                differences=tuple(
                    difference
                    for pair in json_utils.loads(exec_properties[_PAIRS_KEY])
                    for difference in _differences(statistics, baseline, output, pair, config)
                ),
            )
        with fileio.open(os.path.join(output.uri, _FILE), "w") as file:
            file.write(found.model_dump_json(indent=2) + "\n")


class DistributionComparison(DistributionValidator):
    """TFX' DistributionValidator with this module's executor."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def drift_comparison(
    statistics: types.BaseChannel,
    baseline: types.BaseChannel,
    splits: tuple[str, ...],
    thresholds: Mapping[str, Threshold],
) -> DistributionComparison:
    """Returns a node that compares each split of new data with the same split of earlier data.

    Every split, because where the split is by time the newest span's data are in the last one, and reach
    the train split only many spans later.

    Args:
        statistics: ExampleStatistics of the new data.
        baseline: ExampleStatistics of the earlier data; without splits where there are none.
        splits: The splits to compare.
        thresholds: By feature.
    """
    return DistributionComparison(
        statistics,
        baseline,
        config=_comparators(thresholds),
        include_split_pairs=[(split, split) for split in splits],
    )


def skew_comparison(
    statistics: types.BaseChannel, thresholds: Mapping[str, Threshold]
) -> DistributionComparison:
    """Returns a node that compares the eval split with the train split.

    Args:
        statistics: ExampleStatistics with both splits.
        thresholds: By feature.
    """
    return DistributionComparison(
        statistics,
        statistics,
        config=_comparators(thresholds),
        include_split_pairs=[("eval", "train")],
    )


def _comparators(
    thresholds: Mapping[str, Threshold],
) -> distribution_validator_pb2.DistributionValidatorConfig:
    config = distribution_validator_pb2.DistributionValidatorConfig()
    for feature in sorted(thresholds):
        added = config.default_slice_config.feature.add()
        added.path.step.append(feature)
        set_comparator(added.distribution_comparator, thresholds[feature])
    return config


def _config(
    given: str | distribution_validator_pb2.DistributionValidatorConfig,
) -> distribution_validator_pb2.DistributionValidatorConfig:
    """The execution property as the local runner hands it over, or as Kubeflow does (JSON)."""
    if not isinstance(given, str):
        return given
    config = distribution_validator_pb2.DistributionValidatorConfig()
    proto_utils.json_to_proto(given, config)
    return config


def _differences(
    statistics: types.Artifact,
    baseline: types.Artifact,
    anomalies: types.Artifact,
    pair: tuple[str, str],
    config: distribution_validator_pb2.DistributionValidatorConfig,
) -> Iterator[Difference]:
    """What DistributionValidator wrote about a pair of splits, by feature."""
    split, baseline_split = pair
    path = os.path.join(anomalies.uri, f"SplitPair-{split}_{baseline_split}", executor.DEFAULT_FILE_NAME)
    with fileio.open(path, "rb") as file:
        found = anomalies_pb2.Anomalies.FromString(file.read())
    thresholds = {
        comparator.path.step[0]: _threshold(comparator) for comparator in config.default_slice_config.feature
    }
    here, there = _statistics(statistics, split), _statistics(baseline, baseline_split)
    yield from differences(found, here, there, thresholds, split, baseline_split)


def _threshold(comparator: distribution_validator_pb2.FeatureComparator) -> Threshold:
    given = comparator.distribution_comparator
    if given.HasField("infinity_norm"):
        return Threshold(l_infinity=given.infinity_norm.threshold)
    return Threshold(jensen_shannon=given.jensen_shannon_divergence.threshold)


def _statistics(artifact: types.Artifact, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    return stats_artifact_utils.load_statistics(artifact, split).proto()
