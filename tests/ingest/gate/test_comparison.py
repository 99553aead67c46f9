from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from google.protobuf import json_format
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tfx.types import artifact_utils, channel_utils, standard_artifacts

from components.ingest.gate.comparison import (
    Comparison,
    Executor,
    drift_comparison,
    read_comparison,
    skew_comparison,
)
from components.ingest.gate.differences import Difference, compare
from components.ingest.gate.distributions import Threshold

sys.path.insert(0, str(Path(__file__).parents[2] / "fixtures"))

from measured import interactions, statistics

TOWN = {"town": Threshold(l_infinity=0.1)}
BORN = {"born": Threshold(jensen_shannon=0.05)}


def run(node, current, baseline, uri: Path, **properties) -> Comparison:
    """Executes a comparison node as TFX would."""
    anomalies = standard_artifacts.ExampleAnomalies()
    anomalies.uri = str(uri)
    inputs = {"statistics": [current], "baseline_statistics": [baseline]}
    Executor().Do(inputs, {"anomalies": [anomalies]}, {**node.exec_properties, **properties})
    return read_comparison(anomalies)


@pytest.fixture
def drift(tmp_path):
    """Compares new interactions of span 7 with those of span 6."""
    numbers = iter(range(100))

    def compare(new, old, thresholds: Mapping[str, Threshold]) -> Difference:
        folder = tmp_path / str(next(numbers))
        current = statistics(folder / "new", {"train": new}, span=7)
        baseline = statistics(folder / "old", {"train": old}, span=6)
        channels = (channel_utils.as_channel([current]), channel_utils.as_channel([baseline]))
        node = drift_comparison(*channels, ("train",), thresholds)
        found = run(node, current, baseline, folder / "anomalies")
        assert (found.span, found.baseline_span) == (7, 6)
        (difference,) = found.differences
        return difference

    return compare


def test_a_category_whose_share_moved_is_named_with_the_distance(drift) -> None:
    moved = drift(interactions({"Hagen": 100, "Soest": 60, "Unna": 40}), interactions(), TOWN)
    assert (moved.over, moved.distance, moved.changed_most) == (True, pytest.approx(0.2), "Unna")
    assert (moved.feature, moved.split, moved.baseline_split) == ("town", "train", "train")


def test_a_distance_within_the_threshold_is_told_too(drift) -> None:
    near = drift(interactions({"Hagen": 110, "Soest": 90}), interactions(), TOWN)
    assert (near.over, near.distance, near.changed_most) == (False, pytest.approx(0.05), None)


def test_numbers_are_compared_by_their_histograms(drift) -> None:
    assert drift(interactions(born=1990.0), interactions(), BORN).over
    same = drift(interactions(), interactions(), BORN)
    assert (same.over, same.distance) == (False, 0)


@pytest.mark.parametrize("thresholds", [TOWN, BORN, {"town": Threshold(jensen_shannon=0.001)}])
@pytest.mark.parametrize("born", [1990.0, None])
def test_statistics_in_memory_are_compared_as_those_of_artifacts(drift, thresholds, born) -> None:
    new, old = interactions({"Hagen": 100, "Soest": 60, "Unna": 40}, born=born), interactions()
    in_memory = (generate_statistics_in_memory(batch) for batch in (new, old))
    assert compare(*in_memory, thresholds, "train", "train") == (drift(new, old, thresholds),)


def test_values_that_are_gone_are_over_the_threshold_and_new_ones_have_nothing_beside_them(drift) -> None:
    gone = drift(interactions(born=None), interactions(), BORN)
    assert (gone.over, gone.distance) == (True, None)
    new = drift(interactions(), interactions(born=None), BORN)
    assert (new.over, new.distance) == (False, None)


def test_without_a_baseline_nothing_is_found(tmp_path) -> None:
    current = statistics(tmp_path / "new", {"train": interactions()}, span=1)
    nothing = standard_artifacts.ExampleStatistics()
    nothing.split_names = artifact_utils.encode_split_names([])
    channel = channel_utils.as_channel([current])
    node = drift_comparison(channel, channel, ("train",), TOWN)
    found = run(node, current, nothing, tmp_path / "anomalies")
    assert found == Comparison(span=1, baseline_span=None, differences=())


def test_eval_is_compared_with_train_and_the_settings_may_come_as_json(tmp_path) -> None:
    splits = {"train": interactions(), "eval": interactions({"Hagen": 180, "Soest": 20}, born=1990)}
    current = statistics(tmp_path / "statistics", splits)
    node = skew_comparison(channel_utils.as_channel([current]), {**TOWN, **BORN})
    config = json_format.MessageToJson(node.exec_properties["distribution_validator_config"])
    found = run(node, current, current, tmp_path / "anomalies", distribution_validator_config=config)
    assert [(d.feature, d.split, d.baseline_split, d.over) for d in found.differences] == [
        ("born", "eval", "train", True),
        ("town", "eval", "train", True),
    ]
