"""The baseline is what is being served."""

from __future__ import annotations

import pytest
from tfx.types import standard_artifacts

from components.evaluate.baseline import Executor, has_model, newest_version


def resolve(tmp_path, destination):
    baseline = standard_artifacts.Model()
    baseline.uri = str(tmp_path / "baseline")
    Executor().Do({"model": []}, {"baseline": [baseline]}, {"push_destination": str(destination)})
    return baseline


def push(destination, name):
    (destination / name / "assets").mkdir(parents=True)
    (destination / name / "saved_model.pb").write_text(name)
    (destination / name / "assets" / "vocabulary").write_text("a")


def test_before_the_first_push_there_is_no_baseline(tmp_path):
    baseline = resolve(tmp_path, tmp_path / "never made")
    assert (tmp_path / "baseline").is_dir()
    assert not has_model(baseline)


def test_the_newest_version_is_the_baseline_by_number_not_by_name(tmp_path):
    for name in ("9", "10", ".11.part", "eleven"):
        push(tmp_path / "serving", name)
    baseline = resolve(tmp_path, tmp_path / "serving")
    assert has_model(baseline)
    copy = tmp_path / "baseline" / "Format-Serving"
    assert (copy / "saved_model.pb").read_text() == "10"
    assert (copy / "assets" / "vocabulary").exists()
    assert baseline.get_string_custom_property("pushed_version") == "10"


def test_a_version_whose_files_are_gone_does_not_hide_the_model_before_it(tmp_path):
    push(tmp_path / "serving", "9")
    (tmp_path / "serving" / "10" / "variables").mkdir(parents=True)
    assert newest_version(str(tmp_path / "serving")) == 10
    baseline = resolve(tmp_path, tmp_path / "serving")
    assert baseline.get_string_custom_property("pushed_version") == "9"


@pytest.mark.parametrize("names", [[], ["tmp"], [".5.part"], [str(2**63)], ["20261130223944123456"]])
def test_what_is_no_version_does_not_count(tmp_path, names):
    for name in names:
        push(tmp_path, name)
    assert newest_version(str(tmp_path)) is None
