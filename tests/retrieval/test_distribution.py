"""Training on several devices or in several processes is the same training."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import parity
import pytest

from components.retrieval.config import RetrievalConfig
from components.retrieval.trainer import build_model
from components.retrieval.training import MONITOR, distribution_strategy, fit

SIZES = (30, 512)
# Nothing random, negatives that do not depend on the batch, and an optimiser that knows a gradient's scale:
# so the replicas' gradients have to add up to those of the whole batch.
CONFIG = RetrievalConfig(
    dim=4,
    layers=None,
    id_dropout=0,
    loss={"kind": "full_softmax"},
    l2=0.01,
    optimizer={"kind": "adagrad", "learning_rate": 0.5},
    batch_size=128,
    epochs=2,
)


def train(folder, **settings):
    """Weights and metrics of a training in this process."""
    config = CONFIG.model_copy(update=settings)
    with distribution_strategy(config).scope():
        data = parity.inputs(*SIZES)
        model = build_model(data, config)
        history = fit(model, data.train, data.validation, config, str(folder), str(folder / "unfinished"))
    return [weight.numpy() for weight in model.trainable_variables], history


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Weights and metrics of the training on one device."""
    return train(tmp_path_factory.mktemp("alone"))


def test_mirrored_training_on_one_device_is_training_on_it(tmp_path, alone):
    weights, history = train(tmp_path, strategy="mirrored")
    for one, other in zip(weights, alone[0], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert history["epoch_loss"] == pytest.approx(alone[1]["epoch_loss"], rel=1e-4)
    assert history[MONITOR] == alone[1][MONITOR]


def free_ports(count):
    """Ports nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def test_two_workers_end_with_the_weights_of_one_process_also_if_one_reads_them_late(tmp_path, alone):
    config = CONFIG.model_copy(update={"strategy": "multi_worker"})
    (tmp_path / "config.json").write_text(config.model_dump_json())
    (tmp_path / "sizes.json").write_text(json.dumps(SIZES))
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    root = Path(__file__).resolve().parents[2]
    workers = []
    for index in range(2):
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(cluster), "PYTHONPATH": str(root)}
        command = [sys.executable, str(Path(__file__).with_name("worker.py")), str(tmp_path)]
        log = (tmp_path / f"worker-{index}.log").open("w")
        workers.append(subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT))
    try:
        codes = [worker.wait(timeout=180) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    logs = "\n".join((tmp_path / f"worker-{index}.log").read_text()[-3000:] for index in range(2))
    assert codes == [0, 0], logs
    first, second = (np.load(tmp_path / f"worker-{index}.npz") for index in range(2))
    assert first["replicas"] == second["replicas"] == 2
    assert first["chief"] and not second["chief"]
    assert first["recall"].tolist() == second["recall"].tolist()
    for index, weight in enumerate(alone[0]):
        np.testing.assert_array_equal(first[f"arr_{index}"], second[f"arr_{index}"])
        np.testing.assert_allclose(first[f"arr_{index}"], weight, rtol=1e-3, atol=1e-4)
    assert not (tmp_path / "unfinished").exists(), "the chief removes it when both have read it"
