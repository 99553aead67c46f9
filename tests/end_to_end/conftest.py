"""Two real runs, of MovieLens-100K and of music streams, each shared by what looks at what it left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.ingest.errors import UserError
from pipeline.acquire import acquire
from pipeline.domain import load_domain

# tests/ is no package; the modules beside this file are found by their folder.
TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(Path(__file__).resolve().parent), str(TESTS / "fixtures")]

from command import MUSIC, run_movielens, westwork  # noqa: E402
from music_service import write_music_service  # noqa: E402


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        root: Its run root.
        said: What the command line printed.
        model: The pushed version's directory.
    """

    root: Path
    said: str
    model: Path

    def artifact(self, step: str, output: str) -> Path:
        """Directory of a step's newest output."""
        return max((self.root / "artifacts" / step / output).iterdir(), key=lambda path: int(path.name))

    def split(self, step: str, output: str, split: str) -> list[str]:
        """Files of one split of a step's newest Examples."""
        return sorted(str(path) for path in (self.artifact(step, output) / f"Split-{split}").glob("*.gz"))


@pytest.fixture(scope="session")
def movielens(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of MovieLens-100K in a fresh root; skipped only where the data can't be had."""
    root = tmp_path_factory.mktemp("movielens")
    try:
        domain = load_domain("movielens")
        assert domain.acquire
        acquire(domain.acquire, root / "data", None, print)
    except UserError as error:
        pytest.skip(f"MovieLens-100K cannot be had here: {error}")
    run = westwork(*run_movielens(root))
    assert run.returncode == 0, run.stdout + run.stderr
    (model,) = (root / "serving").iterdir()
    return Run(root, run.stdout, model)


@pytest.fixture(scope="session")
def answers(movielens: Run, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the pushed model answers in a process that imports TensorFlow and ScaNN and nothing else."""
    out = tmp_path_factory.mktemp("answers") / "answers.json"
    script = Path(__file__).parent / "ask_saved_model.py"
    plain = {
        name: value for name, value in os.environ.items() if name not in ("TF_USE_LEGACY_KERAS", "PYTHONPATH")
    }
    finished = subprocess.run(
        [sys.executable, str(script), str(movielens.model), str(out)],
        capture_output=True,
        text=True,
        check=False,
        env=plain,
        cwd=out.parent,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    return json.loads(out.read_text())


@pytest.fixture(scope="session")
def music(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the music service."""
    root = tmp_path_factory.mktemp("music")
    (root / "data").mkdir()
    write_music_service(root / "data")
    run = westwork("run", "--domain", MUSIC, "--root", str(root))
    assert run.returncode == 0, run.stdout + run.stderr
    (model,) = (root / "serving").iterdir()
    return Run(root, run.stdout, model)
