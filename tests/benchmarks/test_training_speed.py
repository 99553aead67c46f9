"""The benchmark runs from end to end on hand-made data, and what it compares is comparable."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import yaml

from benchmarks.public_splits import Log, encoded, training_inputs
from benchmarks.speed.pairs import EqualBatch, Pairs
from benchmarks.speed.turns import Epoch
from benchmarks.training_speed import BATCHES, CONFIGURATIONS, summary
from components.retrieval.config import RetrievalConfig
from components.retrieval.trainer import build_model
from components.transform.candidate_table import UNKNOWN_ROW

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "training_speed.py"
WITH_TORCH = importlib.util.find_spec("torch") is not None
USERS, ITEMS = 30, 20
BATCH = next(iter(BATCHES))


@pytest.fixture
def pairs() -> Pairs:
    generator = np.random.default_rng(5)
    users, items = generator.integers(USERS, size=200), generator.integers(ITEMS, size=200)
    users.sort()
    return Pairs(users, items, users[:8], items[:8], USERS, ITEMS)


def test_a_run_ends_with_one_json_line_that_has_the_ratios(tmp_path):
    generator = np.random.default_rng(1)
    (tmp_path / "ncf_ml1m").mkdir()
    log = {"user": generator.integers(40, size=400), "item": generator.integers(150, size=400)}
    pq.write_table(pa.table(log), tmp_path / "ncf_ml1m" / "train.parquet")
    settings = yaml.safe_load((CONFIGURATIONS / "ncf_ml1m.yaml").read_text())
    settings["retrieval"]["epochs"] = 3
    short = tmp_path / "short.yaml"
    short.write_text(yaml.safe_dump(settings))
    given = (
        "--data",
        str(tmp_path),
        "--config",
        str(short),
        "--epochs",
        "2",
        "--repeats",
        "1",
        "--batch",
        BATCH,
    )
    command = [sys.executable, str(SCRIPT), *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env={**os.environ})
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    measured = result["measured"]
    assert result["dim"] == 64
    assert len(measured["epochs"]["tutorial"]) == 2
    assert {"time_to_quality", "time_to_quality_without_validation"} <= {*result}
    assert 0 < result["validation_share"] < 1
    ((name, ratio),) = result["examples_per_second"].items()
    assert name == BATCH and measured["examples_per_second"][name]["ours"] > 0
    assert (ratio is not None) == WITH_TORCH
    assert WITH_TORCH or "PyTorch is not measured" in done.stdout


def test_ratios_are_of_the_first_epoch_that_is_as_good_as_the_tutorials_best():
    tutorial = [Epoch(10, 2, 0.2), Epoch(20, 4, 0.3), Epoch(30, 6, 0.25)]
    trainings = [
        [Epoch(1, 0.1, 0.1), Epoch(2, 0.2, 0.3), Epoch(4, 0.4, 0.5)],
        [Epoch(5, 0.5, 0.4), Epoch(10, 3, 0.2)],
        [Epoch(3, 0.6, 0.35), Epoch(5, 0.5, 0.1)],
    ]
    rates = {"a": {"ours": [4.0, 6.0, 5.0], "pytorch": [2.0, 2.5, 9.0]}, "b": {"ours": [1.0]}}
    found = summary(tutorial, trainings, rates)
    assert found["time_to_quality"] == pytest.approx(3 / 20)
    assert found["time_to_quality_without_validation"] == pytest.approx(2.4 / 16)
    assert found["examples_per_second"] == {"a": 2.0, "b": None}
    assert found["validation_share"] == pytest.approx(0.1)


def test_a_recall_that_is_not_always_reached_has_no_ratio():
    found = summary([Epoch(10, 2, 0.4)], [[Epoch(1, 0.1, 0.5)], [Epoch(1, 0.1, 0.3)]], {})
    assert found["time_to_quality"] is None
    assert found["measured"]["seconds"] == {"tutorial": 10}


def test_configurations_are_valid_and_of_one_dimension():
    configurations = [yaml.safe_load(path.read_text()) for path in CONFIGURATIONS.glob("*.yaml")]
    assert {RetrievalConfig.model_validate(each["retrieval"]).dim for each in configurations} == {64}


@pytest.mark.skipif(not WITH_TORCH, reason="needs PyTorch, which is not among the project's requirements")
@pytest.mark.parametrize(("in_batch", "uniform"), [(True, 0), (False, 500), (True, 500)])
def test_pytorch_has_the_same_loss(pairs, in_batch, uniform, monkeypatch):
    import torch

    from benchmarks.speed.ours import equal_config
    from benchmarks.speed.pytorch import Factorisation

    equal = EqualBatch(dim=8, batch=200, in_batch=in_batch, uniform=uniform)
    theirs = Factorisation(pairs, equal)
    everything = encoded(pairs.users, np.full((200, 1), UNKNOWN_ROW, np.int32), pairs.items)
    inputs = training_inputs(Log(pairs.users, pairs.items, USERS, ITEMS), everything, everything)
    ours = build_model(inputs, equal_config(equal, 1))
    drawn = np.random.default_rng(3).integers(ITEMS, size=uniform)
    monkeypatch.setattr(torch, "randint", lambda *_: torch.from_numpy(drawn))
    monkeypatch.setattr(ours._pool, "draw_uniform", lambda: tf.constant(drawn) if uniform else None)
    batch = next(iter(everything.batches(200)))
    expected = float(ours.compute_loss(batch, training=True))
    users = ours.query_tower.trainable_variables[0].numpy()
    theirs.users.weight.data = torch.from_numpy(users[:USERS].copy())
    # Ours keeps the first row for items it does not know.
    theirs.items.weight.data = torch.from_numpy(ours.candidate_tower.ids.embeddings.numpy()[1:].copy())
    found = theirs(torch.from_numpy(pairs.users), torch.from_numpy(pairs.items))
    assert float(found) == pytest.approx(expected, rel=1e-5)
