"""Which files belong together."""

from __future__ import annotations

from components.ingest.files.tables import table_files
from pipeline.domain import load_domain
from tests.pipeline.propose.shop import (
    events,
    init,
    items,
    proposed,
    write_csv,
)


def test_parts_become_a_glob_and_dated_folders_spans(tmp_path):
    catalogue = write_csv(tmp_path / "items.csv", items())
    for part in range(3):
        write_csv(tmp_path / "log" / f"part-{part:05d}.csv", events()[part::3])
    domain = proposed(tmp_path, tmp_path / "log", catalogue)
    assert domain.interactions.sources[0].files == str(tmp_path / "log" / "part-*.csv")
    for day in (1, 2):
        write_csv(tmp_path / "daily" / f"2024-03-0{day}" / "events.csv", events()[day::2])
    assert init(tmp_path / "domain", tmp_path / "daily", catalogue, more=("--force",)).exit_code == 0
    source = load_domain(str(tmp_path / "domain")).interactions.sources[0]
    assert source.files == str(tmp_path / "daily" / "{YYYY}-{MM}-{DD}" / "events.csv")
    assert len(table_files(source, "")) == 2


def test_a_catalogue_delivered_again_each_day_is_taken_from_the_newest_day(tmp_path):
    for day in (1, 2):
        write_csv(tmp_path / f"2024-03-0{day}" / "events.csv", events()[day::2])
        write_csv(tmp_path / f"2024-03-0{day}" / "items.csv", items())
    domain = proposed(tmp_path, tmp_path / "2024-03-01", tmp_path / "2024-03-02")
    assert "{YYYY}" in domain.interactions.sources[0].files
    assert domain.candidates.files == str(tmp_path / "2024-03-02" / "items.csv")


def test_a_missing_path_and_a_folder_without_data_are_named(tmp_path):
    assert f"there is no file or folder {tmp_path / 'x'}" in init(tmp_path / "d", tmp_path / "x").stderr
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.md").touch()
    assert "holds no data file: found readme.md" in init(tmp_path / "d", tmp_path / "empty").stderr
