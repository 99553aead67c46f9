from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tfx.types import artifact_utils, standard_artifacts

from components.ingest.errors import UserError
from components.ingest.gate.published_statistics import STREAMS, Executor, find_baseline, publish

sys.path.insert(0, str(Path(__file__).parents[2] / "fixtures"))

from measured import candidates, interactions, statistics


@pytest.fixture
def measure(tmp_path):
    """Makes both streams' statistics: those of 1980 + shift."""
    numbers = iter(range(100))

    def make(shift: int, span: int = 0, *, reordered: bool = False):
        folder = tmp_path / "measured" / str(next(numbers))
        batch = interactions(born=1980 + shift)
        if reordered:
            batch = batch.select(batch.schema.names[::-1])
        return {
            "interaction": statistics(folder / "interaction", {"train": batch}, span),
            "candidate": statistics(folder / "candidate", {"catalogue": candidates()}),
        }

    return make


def found(directory: Path, current) -> str | None:
    """Name of the folder that statistics are compared with."""
    baseline = find_baseline(str(directory), current)
    return Path(baseline[0]).name if baseline else None


def test_the_first_data_have_nothing_to_be_compared_with(tmp_path, measure) -> None:
    assert found(tmp_path / "never made", measure(0)) is None


def test_data_are_compared_with_the_last_published_and_never_with_themselves(tmp_path, measure) -> None:
    directory = tmp_path / "statistics"
    publish(str(directory), measure(0))
    assert found(directory, measure(0)) is None
    # As made by another run of StatisticsGen: features in another order.
    assert found(directory, measure(0, reordered=True)) is None
    assert found(directory, measure(1)) == "1"
    publish(str(directory), measure(1))
    assert found(directory, measure(1)) == "1"
    assert found(directory, measure(2)) == found(directory, measure(0)) == "2"


def test_a_span_is_compared_with_the_greatest_earlier_one(tmp_path, measure) -> None:
    directory = tmp_path / "statistics"
    for span in (5, 7, 6):
        publish(str(directory), measure(span, span))
    assert found(directory, measure(8, 8)) == "2"
    assert found(directory, measure(70, 7)) == "3"
    assert found(directory, measure(5, 5)) is None
    # The only thing there is to compare with is an earlier delivery of the same span.
    assert found(directory, measure(50, 5)) == "1"
    assert found(directory, measure(4, 4)) is None


def test_publishing_again_after_a_killed_run_leaves_one_whole_publication(tmp_path, measure) -> None:
    directory = tmp_path / "statistics"
    (directory / ".1.part" / "interaction").mkdir(parents=True)
    publish(str(directory), measure(0))
    publish(str(directory), measure(0))
    assert [path.name for path in directory.iterdir()] == ["1"]
    # What an object store would show of a rename that was cut short.
    (directory / "2" / "candidate").mkdir(parents=True)
    assert found(directory, measure(1)) == "1"


def test_a_directory_that_cannot_be_written_is_named(tmp_path, measure) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"could not write the statistics.*file.*Make it writable"):
        publish(str(tmp_path / "file" / "statistics"), measure(0))


def test_the_node_copies_what_it_found_and_leaves_no_splits_where_there_is_nothing(tmp_path, measure) -> None:
    def resolve(name: str, current) -> dict[str, standard_artifacts.ExampleStatistics]:
        outputs = {}
        for stream in STREAMS:
            outputs[stream] = standard_artifacts.ExampleStatistics()
            outputs[stream].uri = str(tmp_path / name / stream)
        Executor().Do(
            {f"{stream}_statistics": [current[stream]] for stream in STREAMS},
            {f"{stream}_baseline": [outputs[stream]] for stream in STREAMS},
            {"published": str(tmp_path / "statistics")},
        )
        return outputs

    nothing = resolve("first", measure(0, 1))
    assert artifact_utils.decode_split_names(nothing["interaction"].split_names) == []
    assert Path(nothing["candidate"].uri).is_dir()
    publish(str(tmp_path / "statistics"), measure(0, 1))
    baseline = resolve("second", measure(1, 2))
    assert baseline["interaction"].span == 1
    assert artifact_utils.decode_split_names(baseline["candidate"].split_names) == ["catalogue"]
    assert (Path(baseline["interaction"].uri) / "Split-train" / "FeatureStats.pb").is_file()
