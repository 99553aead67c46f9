"""The command line, as far as it goes without running a pipeline."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main

TINY = str(Path(__file__).parent.parent / "fixtures" / "tiny")


def _invoke(*arguments: str):
    return CliRunner().invoke(main, list(arguments))


def test_help_teaches_the_commands_and_the_exit_codes():
    shown = _invoke("--help").output
    assert all(command in shown for command in ("run", "recommend", "report", "doctor"))
    for command in ([], ["run"]):
        shown = _invoke(*command, "--help").output
        assert "3    `run` went through, but the model is not blessed" in shown
    assert "westwork run --source ~/Downloads/ml-100k.zip" in shown


def test_help_is_fast_and_imports_no_tensorflow():
    code = (
        "import sys\nfrom pipeline.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'tensorflow', 'tfx', 'apache_beam', 'pyarrow', 'ml_metadata'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    # Of the processor, not of the clock: a busy machine is no fault. A fifth of it is usual.
    assert after.children_user - before.children_user < 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "--domain", "nowhere"], 1, "no domain 'nowhere'"),
        (["run", "--domain", TINY, "--set", "retrieval.epoch=1"], 1, "retrieval.epoch: there is no such key"),
        (["run", "--domain", TINY, "--source", "x.zip"], 1, "has no 'acquire' section"),
        (["recommend", "--domain", TINY, "--user", "ada"], 1, "no model has been pushed to"),
        (["recommend", "--domain", TINY, "--user", "ada", "--k", "0"], 2, "0 is not in the range 1<=x<="),
        (["recommend", "--domain", TINY], 2, "expected either --user ID or --example"),
        (
            ["recommend", "--domain", TINY, "--user", "a", "--example"],
            2,
            "expected either --user ID or --example",
        ),
        (["report", "--domain", TINY], 1, "there is no run in"),
    ],
)
def test_a_mistake_is_told_in_plain_words(monkeypatch, tmp_path, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    result = _invoke(*arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    result = _invoke("run", "--domain", TINY, "--root", str(tmp_path / "file" / "root"))
    assert result.exit_code == 1
    assert "cannot write to the run's root" in result.stderr


def test_a_run_whose_data_are_missing_names_the_file_and_exits_with_1(tmp_path):
    result = _invoke("run", "--domain", TINY, "--root", str(tmp_path))
    assert result.exit_code == 1
    assert re.search(r"error (Candidate|Interaction)Gen: found no file \S+s\.csv ", result.stderr)
    assert "Traceback" not in result.output + result.stderr
    (log,) = (tmp_path / "logs").iterdir()
    assert "Traceback" in log.read_text()
