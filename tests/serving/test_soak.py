"""A short one of benchmarks/serving_soak.py: the whole of it takes minutes and a trained model."""

import os
from pathlib import Path

import numpy as np
from running_server import running
from tiny_model import inputs_of

from benchmarks.load.soak import Outcome, Settings, soak
from serving.client import MODEL_NAME
from serving.runner import Batching


def _occupied() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_no_request_is_lost_while_versions_come_and_go_and_others_ask_nonsense(base):
    inputs = [
        {name: value.numpy() for name, value in inputs_of((f"u{i}",), history=[f"c{i}"] * (i % 4)).items()}
        for i in range(20)
    ]
    with running(base, MODEL_NAME, batching=Batching(rows=8)) as server:
        url = f"{server.url}/v1/models/{MODEL_NAME}"
        settings = Settings(seconds=6, swaps=6, grpc_callers=4, rest_callers=2)
        outcome = soak(server.target, url, base, _occupied, inputs, settings)
    assert not outcome.violations
    assert outcome.swaps == 6 and len(outcome.malformed) > 20
    assert all(measured.answers for measured in outcome.good.values())


def test_memory_that_grows_is_a_violation():
    outcome = Outcome(memory=[(float(t), (100 + 20 * t) << 20) for t in range(20)])
    outcome.check_memory()
    assert list(outcome.violations) == ["memory grew by 280 MB in 14 s"]
    np.testing.assert_allclose(outcome.growth, 20 << 20)
    steady = Outcome(memory=[(float(t), (300 + 30 * (t % 2) - 250 * (t == 0)) << 20) for t in range(20)])
    steady.check_memory()
    assert not steady.violations
