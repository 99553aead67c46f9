"""What the serving benchmark makes of its loads."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.load.generator import Measured
from benchmarks.serving import Model, Point, summary


def _point(batching: bool, concurrency: int, qps: float) -> Point:
    return Point(
        model="films",
        api="gRPC",
        batching=batching,
        concurrency=concurrency,
        qps=qps,
        p50=2.5,
        p99=3.0,
        p999=4.0,
        server_ms=2.0,
        server_cpu_ms=2.2,
        generator_cpu_ms=0.2,
        rows_a_run=1.0,
        failures={},
    )


def test_gain_and_overhead_are_told_of_what_was_measured_both_ways():
    model = Model("films", Path("films"), [], in_process=1.2, in_process_cpu=1.5)
    points = [_point(False, 1, 400), _point(False, 32, 500), _point(True, 32, 1600), _point(True, 8, 900)]
    result = summary([model], points)
    assert result["gain"] == [{"model": "films", "api": "gRPC", "concurrency": 32, "gain": 3.2}]
    (overhead,) = result["overhead"]
    assert overhead["server_overhead_ms"] == pytest.approx(0.8)
    assert overhead["caller_overhead_ms"] == pytest.approx(1.3)
    assert overhead["server_cpu_overhead_ms"] == pytest.approx(0.7)
    assert len(result["points"]) == 4


def test_rates_and_percentiles_are_of_the_answers_alone():
    measured = Measured(2.0, np.arange(1, 101) / 1000, {"UNAVAILABLE: gone": 3})
    assert (measured.answers, measured.rate) == (100, 50)
    assert measured.milliseconds(50) == pytest.approx(50.5)
    assert np.isnan(Measured(2.0, np.array([])).milliseconds(50))
