"""A training that was interrupted goes on as if it had not been."""

import numpy as np
import parity
import pytest
import tensorflow as tf

from components.retrieval import training
from components.retrieval.config import RetrievalConfig
from components.retrieval.progress import Progress
from components.retrieval.trainer import build_model
from components.retrieval.training import MONITOR, CatalogueRecall, fit


@pytest.fixture
def start(tiny, tmp_path):
    """Makes a new model and its progress, as a process does that begins or takes up a training."""

    def make(patience=9, directory=tmp_path / "unfinished"):
        model = tiny.model(layers=None, features=False, optimizer={"kind": "adam"})
        model.compile(optimizer=training.make_optimizer(tiny.config().optimizer, 10))
        progress = Progress(model, "recall", patience=patience, directory=directory and str(directory))
        progress.set_model(model)
        return model, progress

    return make


def step(model, tiny):
    """Changes weights and the optimiser's state; the weights after it."""
    model.train_step(tiny.batch(features=False))
    return [weight.numpy() for weight in model.trainable_variables]


def assert_weights(model, expected):
    for weight, value in zip(model.trainable_variables, expected, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_going_on_brings_back_weights_optimizer_and_metrics(tiny, start):
    model, progress = start()
    for epoch, recall in enumerate((0.5, 0.4)):
        latest = step(model, tiny)
        progress.on_epoch_end(epoch, {"recall": recall, "loss": 2.0 - epoch})
    again, taken_up = start()
    assert taken_up.restore(tiny.batch(features=False)) == 2
    assert taken_up.history == {"recall": [0.5, 0.4], "loss": [2.0, 1.0]}
    assert_weights(again, latest)
    for one, other in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    assert int(again.optimizer.iterations) == 2


def test_the_best_weights_of_before_the_interruption_can_win(tiny, start):
    model, progress = start()
    best = step(model, tiny)
    progress.on_epoch_end(0, {"recall": 0.5})
    step(model, tiny)
    progress.on_epoch_end(1, {"recall": 0.4})
    again, taken_up = start()
    taken_up.restore(tiny.batch(features=False))
    step(again, tiny)
    taken_up.on_epoch_end(2, {"recall": 0.3})
    taken_up.finish()
    assert_weights(again, best)


def test_later_weights_win_if_they_are_better(tiny, start):
    model, progress = start()
    step(model, tiny)
    progress.on_epoch_end(0, {"recall": 0.5})
    again, taken_up = start()
    taken_up.restore(tiny.batch(features=False))
    better = step(again, tiny)
    taken_up.on_epoch_end(1, {"recall": 0.6})
    step(again, tiny)
    taken_up.on_epoch_end(2, {"recall": 0.6})
    taken_up.finish()
    assert_weights(again, better)


def test_what_was_half_written_is_not_read(tiny, start, tmp_path):
    model, progress = start()
    first = step(model, tiny)
    progress.on_epoch_end(0, {"recall": 0.5})
    folder = tmp_path / "unfinished"
    (folder / "epoch-1.index").write_bytes(b"half")
    (folder / "epoch-1.data-00000-of-00001").write_bytes(b"ha")
    (folder / "progress.json.new").write_text('{"history": {"rec')
    again, taken_up = start()
    assert taken_up.restore(tiny.batch(features=False)) == 1
    assert_weights(again, first)


def test_only_the_latest_and_the_best_are_kept_and_nothing_in_the_end(tiny, start, tmp_path):
    _, progress = start()
    folder = tmp_path / "unfinished"
    kept = []
    for epoch, recall in enumerate((0.1, 0.5, 0.4, 0.3, 0.6)):
        progress.on_epoch_end(epoch, {"recall": recall})
        kept.append(sorted(int(path.stem.split("-")[1]) for path in folder.glob("epoch-*.index")))
    assert kept == [[0], [1], [1, 2], [1, 3], [4]]
    progress.finish()
    assert not folder.exists()


def test_without_a_directory_nothing_is_written_and_the_best_weights_come_back(tiny, start, tmp_path):
    model, progress = start(directory=None)
    assert progress.restore(tiny.batch(features=False)) == 0
    best = step(model, tiny)
    progress.on_epoch_end(0, {"recall": 0.5})
    step(model, tiny)
    progress.on_epoch_end(1, {"recall": 0.4})
    progress.finish()
    assert_weights(model, best)
    assert not list(tmp_path.iterdir())


def test_training_ends_after_so_many_epochs_without_a_new_best(start):
    model, progress = start(patience=2)
    ended = []
    for epoch, recall in enumerate((0.1, 0.3, 0.3, 0.2)):
        progress.on_epoch_end(epoch, {"recall": recall})
        ended.append(progress.ended)
    assert ended == [False, False, False, True]
    assert model.stop_training


CONFIG = RetrievalConfig(
    dim=4,
    layers=None,
    id_dropout=0,
    batch_size=64,
    epochs=4,
    patience=4,
    light_ranker={"query_embeddings": 2, "dim": 3},
    optimizer={"learning_rate": 0.02, "schedule": "cosine", "warmup_steps": 3},
)


class Killed(Exception):
    """As a process is."""


@pytest.mark.parametrize("when", ["after_saving", "before_saving"])
def test_an_interrupted_training_ends_like_one_that_was_not(tmp_path, monkeypatch, when):
    data = parity.inputs(40, 500)

    def train(folder):
        model = build_model(data, CONFIG)
        resume = tmp_path / folder / "unfinished"
        history = fit(model, data.train, data.validation, CONFIG, str(tmp_path / "logs"), str(resume))
        assert not resume.exists()
        return history, [weight.numpy() for weight in model.trainable_variables]

    expected, weights = train("whole")
    followed = Progress if when == "after_saving" else CatalogueRecall
    original = followed.on_epoch_end

    def killed(self, epoch, logs=None):
        original(self, epoch, logs)
        if epoch == 1:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(followed, "on_epoch_end", killed)
        with pytest.raises(Killed):
            train("interrupted")
    history, again = train("interrupted")
    assert len(history[MONITOR]) == CONFIG.epochs
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4)
    for one, other in zip(again, weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_a_training_that_had_ended_only_hands_its_weights_over(tmp_path, monkeypatch):
    data = parity.inputs(40, 500)
    model = build_model(data, CONFIG)
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "finish", lambda self: None)
        history = fit(model, data.train, data.validation, CONFIG, str(tmp_path), str(tmp_path / "unfinished"))
    again = build_model(data, CONFIG)
    monkeypatch.setattr(again, "train_step", None)
    restored = fit(again, data.train, data.validation, CONFIG, str(tmp_path), str(tmp_path / "unfinished"))
    assert restored == history
    best = int(np.argmax(history[MONITOR]))
    found = training.catalogue_recall(again, data.validation.batches(100), exclude_history=True)
    assert found[MONITOR] == pytest.approx(history[MONITOR][best])
    assert tf.io.gfile.exists(str(tmp_path)) and not (tmp_path / "unfinished").exists()
