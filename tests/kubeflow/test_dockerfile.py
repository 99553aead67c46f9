"""The image's recipe, as far as it can be checked without an engine to build it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest
from reading_club import ROOT

DOCKERFILE = ROOT / "kubeflow" / "Dockerfile"


class Instruction(NamedTuple):
    """An instruction of the Dockerfile and the stage it is in."""

    stage: str
    name: str
    value: str


@pytest.fixture(scope="module")
def instructions() -> list[Instruction]:
    """All instructions, continued lines joined, comments left out."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    found: list[Instruction] = []
    stage = ""
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        name, _, value = " ".join(line.split()).partition(" ")
        if not name:
            continue
        if name == "FROM":
            stage = value.partition(" AS ")[2] or "final"
        found.append(Instruction(stage, name, value))
    return found


def copied(instructions: list[Instruction], stage: str) -> list[str]:
    """What a stage copies from the checkout."""
    return [
        source
        for instruction in instructions
        if instruction.stage == stage and instruction.name == "COPY" and "--from=" not in instruction.value
        for source in instruction.value.split()[:-1]
    ]


def runs(instructions: list[Instruction], containing: str) -> list[str]:
    """The commands with a text in them, one an item, whichever RUN they are in."""
    commands = [part for i in instructions if i.name == "RUN" for part in i.value.split(" && ")]
    return [command for command in commands if containing in command]


def ignored(path: str) -> bool:
    """Whether the .dockerignore leaves a path out; knows the patterns that file uses."""
    verdict = False
    for pattern in (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines():
        if not pattern or pattern.startswith("#"):
            continue
        name = pattern.removeprefix("!")
        if name.startswith("**/"):
            matches = any(Path(part).match(name[3:]) for part in Path(path).parts)
        else:
            matches = Path(Path(path).parts[0]).match(name)
        verdict = not pattern.startswith("!") if matches else verdict
    return verdict


def test_every_copied_path_exists_and_is_sent_to_the_engine(instructions: list[Instruction]) -> None:
    sources = [source for stage in ("build", "pipeline") for source in copied(instructions, stage)]
    assert {"requirements.lock", "requirements-setup.lock", "setup.py"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source), source


@pytest.mark.parametrize("path", [".git/config", ".venv/bin/python", "runs/x", "tests/conftest.py", "docs/x"])
def test_nothing_else_is_sent(path: str) -> None:
    assert ignored(path)


def test_every_installation_is_the_locked_one_with_hashes(instructions: list[Instruction]) -> None:
    (tools,) = runs(instructions, "pip install --no-cache-dir")
    assert "--require-hashes" in tools and tools.endswith("--requirement requirements-setup.lock")
    (packages,) = runs(instructions, "uv pip sync")
    assert "--require-hashes" in packages and packages.endswith("requirements.lock")
    (project,) = runs(instructions, "uv pip install")
    assert "--no-deps" in project and "--no-build-isolation" in project
    assert len(runs(instructions, "pip install")) == 2


def test_test_and_lint_tools_are_in_the_lock_and_removed_from_the_image(
    instructions: list[Instruction],
) -> None:
    (command,) = runs(instructions, "uv pip uninstall")
    removed = command.split("bin/python ")[-1].split()
    setup = (ROOT / "setup.py").read_text()
    declared = re.findall(r'"([A-Za-z-]+)', setup.split('"dev": [')[1].split("]")[0])
    assert sorted(removed) == sorted(name.lower() for name in declared)


def test_every_stage_that_runs_python_is_debian_13_and_not_root(instructions: list[Instruction]) -> None:
    bases = {i.stage: i.value.partition(" AS ")[0] for i in instructions if i.name == "FROM"}
    assert bases["build"] == bases["pipeline"] == "debian:trixie-slim"
    assert bases["worker"] == bases["final"] == "pipeline"
    assert [i.value for i in instructions if i.name == "USER"] == ["10001"]
    (environment,) = (i.value for i in instructions if i.stage == "pipeline" and i.name == "ENV")
    assert "TF_USE_LEGACY_KERAS=1" in environment
    assert "PATH=/opt/westwork/venv/bin:$PATH" in environment


def test_the_workers_program_is_of_the_locked_beam(instructions: list[Instruction]) -> None:
    (base,) = (i.value for i in instructions if i.name == "FROM" and i.stage == "beam")
    (version,) = re.findall(r"^apache-beam==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    # Debian 13's Python is 3.13.
    assert base == f"apache/beam_python3.13_sdk:{version} AS beam"


def test_what_is_copied_builds_a_distribution_with_all_the_code(
    instructions: list[Instruction], tmp_path: Path
) -> None:
    for source in copied(instructions, "build"):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / source)
        else:
            shutil.copy(ROOT / source, tmp_path)
    build = "import setuptools.build_meta as backend; backend.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(ROOT))
        for package in ("components", "pipeline", "serving")
        for path in (ROOT / package).rglob("*.py")
    }
    assert wanted <= inside
    assert not [name for name in inside if name.startswith(("tests/", "kubeflow/"))]
