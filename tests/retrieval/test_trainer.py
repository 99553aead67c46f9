"""What the step runs: what it reads, and what of it is written by whom."""

import json
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import parity
import pytest
import tensorflow as tf

from components.retrieval import trainer
from components.retrieval.config import TrainerConfig
from components.retrieval.negatives import sampling_probabilities
from components.retrieval.trainer import build_model, run_fn
from components.transform.interaction_dataset import EncodedInteractions


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the step on the parity log, as a worker that is the chief or not."""

    def step(chief=True, **settings):
        asked = []

        def read(fn_args, *, positives_only, debias):
            asked.append(positives_only)
            return parity.inputs(30, 200)

        strategy = SimpleNamespace(scope=nullcontext, extended=SimpleNamespace(should_checkpoint=chief))
        monkeypatch.setattr(trainer, "read_training_inputs", read)
        monkeypatch.setattr(trainer, "distribution_strategy", lambda config: strategy)
        config = TrainerConfig(
            **{"dim": 4, "layers": None, "epochs": 1, "batch_size": 64, "repeats": False} | settings
        )
        run_fn(
            SimpleNamespace(
                custom_config={
                    "config": config.model_dump_json(),
                    "resume_dir": str(tmp_path / "unfinished"),
                },
                model_run_dir=str(tmp_path / "run"),
                serving_model_dir=str(tmp_path / "model"),
            )
        )
        return asked

    return step


def test_the_step_leaves_the_served_functions_and_every_epochs_metrics(run, tmp_path):
    assert run() == [True]
    served = tf.saved_model.load(str(tmp_path / "model"))
    rows = served.signatures["embed_rows"](rows=tf.range(30, dtype=tf.int64))
    assert rows["embedding"].shape == (30, 5) and np.isfinite(rows["embedding"]).all()
    history = json.loads((tmp_path / "run" / "training.json").read_text())
    assert len(history["val_recall@100"]) == len(history["epoch_loss"]) == 1
    assert not (tmp_path / "unfinished").exists()


def test_of_several_workers_only_the_chief_writes_the_model(run, tmp_path):
    run(chief=False)
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "run" / "training.json").exists()


def test_binary_cross_entropy_reads_all_interactions(run):
    assert run(chief=False, loss={"kind": "binary_cross_entropy"}) == [False]


@pytest.mark.parametrize("repeats", [True, False])
def test_validation_leaves_out_the_history_unless_it_may_come_back(run, monkeypatch, repeats):
    asked = []
    monkeypatch.setattr(trainer, "fit", lambda *_, **settings: asked.append(settings["exclude_history"]))
    run(chief=False, repeats=repeats)
    assert asked == [not repeats]


def test_frequencies_are_counted_on_the_train_split(tiny):
    inputs = replace(tiny.inputs(), validation=EncodedInteractions(tiny.batch([1, 1, 1, 3])))
    model = build_model(inputs, tiny.config())
    found = model._pool.log_expected_counts(tf.range(4, dtype=tf.int64), tf.constant(9.0))
    np.testing.assert_allclose(np.exp(found), 9 * sampling_probabilities(tiny.counts), rtol=1e-5)
    assert model.candidate_tower.ids.input_dim == 4, "one each of the three with interactions, and unknown"
