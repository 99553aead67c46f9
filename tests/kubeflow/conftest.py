"""The script under test, and a reading club's pipeline compiled by it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent
# tests/ is no package; the modules beside this file are found by their folder.
sys.path.insert(0, str(HERE))

from reading_club import IMAGE, ROOT, Compiled, write_reading_club  # noqa: E402

RUNNER = ROOT / "kubeflow" / "runner.py"


@pytest.fixture(scope="session")
def runner() -> ModuleType:
    """``kubeflow/runner.py`` as a module; its folder is no package."""
    spec = importlib.util.spec_from_file_location("westwork_kubeflow_runner", RUNNER)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """A reading club, compiled with small batches: its train split is a thousandth of a real one."""
    folder = tmp_path_factory.mktemp("kubeflow")
    data, serving, file = folder / "data", folder / "serving", folder / "pipeline.yaml"
    data.mkdir()
    write_reading_club(data)
    tiny = ROOT / "tests" / "fixtures" / "tiny"
    settings = {
        "retrieval.batch_size": 64,
        "retrieval.epochs": 8,
        "ranking.batch_size": 64,
        "ranking.epochs": 8,
        "ranking.learning_rate": 0.003,
        "evaluation.baselines.trials": 2,
        "evaluation.max_interactions": 200,
    }
    finished = subprocess.run(
        [
            *(sys.executable, RUNNER, "--domain", tiny, "--image", IMAGE, "--output", file),
            *("--data", data, "--serving", serving, "--artifacts", "gs://shop/runs"),
            *(word for key, value in settings.items() for word in ("--set", f"{key}={value}")),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return Compiled(file, data, serving, finished.stdout + finished.stderr)
