"""The doctor, on this machine."""

import ctypes
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline import doctor
from pipeline.cli import main

SUBJECTS = [
    "Python",
    "glibc",
    "libstdc++",
    "TensorFlow",
    "ScaNN",
    "TFRS",
    "ML Metadata",
    "Beam",
    "memory",
    "disk",
]


def test_every_line_is_ok_here_and_says_which_version():
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert [line[:12].strip() for line in lines] == SUBJECTS
    for line in lines:
        verdict, detail = line[13:].split(maxsplit=1)
        assert verdict == "ok"
        assert any(character.isdigit() for character in detail)


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("import ctypes; ctypes.string_at(0)", "crashed with signal 11"),
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("import time; time.sleep(60)", "no answer within 2 s"),
        ("import sys; sys.exit(4)", "exit code 4"),
    ],
)
def test_a_library_that_fails_is_a_finding_with_advice(code, detail):
    finding = doctor.probe("Thing", code, seconds=2)
    assert finding == doctor.Finding(
        "Thing", False, f"{detail}: run `make setup`; it repairs the environment"
    )


def test_one_finding_that_is_not_ok_makes_the_exit_code_1(monkeypatch):
    findings = [doctor.Finding("Python", True, "3.11"), doctor.Finding("disk", False, "0.1 GiB; make room")]
    monkeypatch.setattr(doctor, "examine", lambda root: iter(findings))
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "Python       ok     3.11",
        "disk         not ok 0.1 GiB; make room",
    ]


def test_too_little_disk_names_the_folder_and_what_is_expected(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "DISK_NEEDED", 1 << 60)
    finding = doctor.disk(tmp_path / "not" / "there")
    assert not finding.ok
    assert f"make room on the disk of {tmp_path}" in finding.detail


def test_an_old_libstdcxx_is_found_out(monkeypatch):
    monkeypatch.setattr(doctor, "_STDCXX_NEEDED", "GLIBCXX_3.4.999")
    ctypes.CDLL("libstdc++.so.6")
    finding = doctor.libstdcxx()
    assert not finding.ok
    assert Path(finding.detail.split(" in ")[1].split(";")[0]).exists()
