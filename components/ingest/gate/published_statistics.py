"""The statistics of data that passed the gate, kept for the next data to be compared with.

They lie in one directory of the run's root, a folder a publication, numbered in the order of passing:
``<number>/interaction/Split-train/FeatureStats.pb`` and so on, and ``<number>/publication.json``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx import types
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import io_utils

from components.ingest.errors import UserError
from components.ingest.strict import Strict

STREAMS = ("interaction", "candidate")
"""The two streams of examples; statistics are published and found for both together."""
PUBLISHED_KEY = "published"

_PUBLICATION_FILE = "publication.json"
_PART = ".part"


class Publication(Strict):
    """What a publication is of."""

    span: int
    """Number of the newest span; 0 where the log is not in spans."""
    fingerprint: str
    """Digest of both streams' statistics; tells other data, not how often the same data were read."""
    splits: dict[str, tuple[str, ...]]
    """Stream to the splits there are statistics of."""


def publish(directory: str, statistics: Mapping[str, types.Artifact]) -> None:
    """Publishes the statistics of data that passed; nothing happens where they are the newest already.

    The folder gets its name only once it is whole. Publications to one directory must not overlap; the next
    one removes what a killed one left.

    Args:
        directory: Where publications are; made if absent.
        statistics: Stream to its ExampleStatistics.

    Raises:
        UserError: If the directory cannot be written.
    """
    publication = _describe(statistics)
    with _blaming(directory):
        fileio.makedirs(directory)
        for name in _names(directory):
            if name.startswith(".") and name.endswith(_PART):
                fileio.rmtree(os.path.join(directory, name))
        earlier = _publications(directory)
        newest = max(earlier, default=0)
        if newest and earlier[newest] == publication:
            return
        part = os.path.join(directory, f".{newest + 1}{_PART}")
        for stream, artifact in statistics.items():
            io_utils.copy_dir(artifact.uri, os.path.join(part, stream))
        # Last, also in the order in which an object store's rename copies: a folder with it is whole.
        with fileio.open(os.path.join(part, _PUBLICATION_FILE), "w") as file:
            file.write(publication.model_dump_json(indent=2) + "\n")
        fileio.rename(part, os.path.join(directory, str(newest + 1)))


def find_baseline(directory: str, current: Mapping[str, types.Artifact]) -> tuple[str, Publication] | None:
    """Finds what new statistics are to be compared with: never with themselves, or with a later span.

    Args:
        directory: Where publications are; may be absent.
        current: Stream to its ExampleStatistics.

    Returns:
        Folder and description of the publication of the greatest earlier span; without any, of the newest
        of the same span (such as 0, where the log is not in spans) that differs; None if there is none.
    """
    own = _describe(current)
    eligible = {
        (found.span < own.span, found.span, number): found
        for number, found in _publications(directory).items()
        if found.span < own.span or (found.span == own.span and found.fingerprint != own.fingerprint)
    }
    if not eligible:
        return None
    best = max(eligible)
    return os.path.join(directory, str(best[-1])), eligible[best]


def _describe(statistics: Mapping[str, types.Artifact]) -> Publication:
    splits = {
        stream: tuple(artifact_utils.decode_split_names(artifact.split_names))
        for stream, artifact in statistics.items()
    }
    digest = hashlib.sha256()
    for stream, artifact in statistics.items():
        for split in splits[stream]:
            content = stats_artifact_utils.load_statistics(artifact, split).proto()
            digest.update(repr((stream, split, list(_exact(content)))).encode())
    return Publication(span=statistics["interaction"].span, fingerprint=digest.hexdigest(), splits=splits)


def _exact(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> Iterator[tuple[object, ...]]:
    """What is the same whenever statistics of the same data are made.

    Means, quantiles and the order of features are not: they depend on which of Beam's threads is faster.
    """
    (dataset,) = statistics.datasets
    yield (dataset.num_examples,)
    for feature in sorted(dataset.features, key=lambda feature: tuple(feature.path.step)):
        numbers, strings = feature.num_stats, feature.string_stats
        common = strings.common_stats if feature.HasField("string_stats") else numbers.common_stats
        yield (*feature.path.step, common.num_non_missing, common.tot_num_values)
        yield numbers.min, numbers.max, numbers.num_zeros
        shares = strings.rank_histogram.buckets
        yield (strings.unique, *((share.label, share.sample_count) for share in shares))


def _publications(directory: str) -> dict[int, Publication]:
    """Number to description of every whole publication."""
    found = {}
    for name in _names(directory) if fileio.isdir(directory) else ():
        path = os.path.join(directory, name, _PUBLICATION_FILE)
        if name.isdecimal() and fileio.exists(path):
            with fileio.open(path) as file:
                found[int(name)] = Publication.model_validate_json(file.read())
    return found


def _names(directory: str) -> list[str]:
    # On object stores a listed directory's name ends in a slash.
    return sorted(str(name).rstrip("/") for name in fileio.listdir(directory))


@contextlib.contextmanager
def _blaming(directory: str) -> Iterator[None]:
    """Turns a file system's refusal into advice."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise UserError(
            f"could not write the statistics, which the next data is compared with, to {directory}: {error}. "
            "Expected a directory this process may write to. Make it writable, then run again; finished "
            "steps are not repeated."
        ) from error


class Executor(base_executor.BaseExecutor):
    """Copies the statistics to compare with."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Fills both streams' ``*_baseline``; they have no splits where there is nothing to compare with.

        Copies, because publications may be tidied away while an artifact must not.
        """
        current = {
            stream: artifact_utils.get_single_instance(input_dict[f"{stream}_statistics"])
            for stream in STREAMS
        }
        found = find_baseline(exec_properties[PUBLISHED_KEY], current)
        for stream in STREAMS:
            baseline = artifact_utils.get_single_instance(output_dict[f"{stream}_baseline"])
            splits: tuple[str, ...] = ()
            if found is None:
                fileio.makedirs(baseline.uri)
            else:
                folder, publication = found
                io_utils.copy_dir(os.path.join(folder, stream), baseline.uri)
                baseline.span = publication.span
                splits = publication.splits[stream]
            baseline.split_names = artifact_utils.encode_split_names(list(splits))


class StatisticsBaselineResolverSpec(ComponentSpec):
    """Interface of StatisticsBaselineResolver."""

    PARAMETERS = {PUBLISHED_KEY: ExecutionParameter(type=str)}
    INPUTS = {
        f"{stream}_statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics)
        for stream in STREAMS
    }
    OUTPUTS = {
        f"{stream}_baseline": ChannelParameter(type=standard_artifacts.ExampleStatistics)
        for stream in STREAMS
    }


class StatisticsBaselineResolver(base_component.BaseComponent):
    """Node whose outputs are the statistics that the last span's data passed the gate with.

    A component, not a TFX Resolver: it runs wherever components run, and what it found is cached with the
    statistics under examination.
    """

    SPEC_CLASS = StatisticsBaselineResolverSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        interaction_statistics: types.BaseChannel,
        candidate_statistics: types.BaseChannel,
        published: str,
    ) -> None:
        """Creates the node.

        Args:
            interaction_statistics: Those under examination.
            candidate_statistics: Those under examination.
            published: Directory that the gate publishes to.
        """
        outputs = {
            f"{stream}_baseline": types.Channel(type=standard_artifacts.ExampleStatistics)
            for stream in STREAMS
        }
        super().__init__(
            spec=StatisticsBaselineResolverSpec(
                interaction_statistics=interaction_statistics,
                candidate_statistics=candidate_statistics,
                published=published,
                **outputs,
            )
        )
