"""What the benchmark of indices draws, tunes and concludes."""

import json

import numpy as np
import pytest

from benchmarks import ann
from benchmarks.neighbours import problem
from benchmarks.neighbours.knobs import Ladder, Tuned, tune
from benchmarks.neighbours.processes import Answers, Opened


@pytest.mark.parametrize("kind", problem.SETS)
def test_what_should_be_found_is_what_brute_force_finds(kind):
    made = problem.make(kind, size=1500, dim=6, queries=20, seed=3)
    assert made.vectors.shape == (1500, 6)
    for queries, best in ((made.tuning, made.tuning_best), (made.queries, made.queries_best)):
        expected = np.argsort(-(queries @ made.vectors.T), axis=1)[:, : problem.K]
        np.testing.assert_array_equal(np.sort(best, axis=1), np.sort(expected, axis=1))
    assert not np.array_equal(made.tuning, made.queries)


def test_a_problem_is_the_same_when_drawn_or_read_again(tmp_path):
    made = problem.make("uneven", size=1000, dim=4, queries=5, seed=1)
    made.save(tmp_path)
    for other in (problem.Problem.load(tmp_path), problem.make("uneven", 1000, 4, 5, seed=1)):
        for name, array in vars(made).items():
            np.testing.assert_array_equal(getattr(other, name), array)


def test_the_uneven_set_has_a_long_tail_of_lengths_and_of_clusters():
    even, uneven = (
        np.linalg.norm(problem.make(kind, 20_000, 16, 1, 0).vectors, axis=1) for kind in problem.SETS
    )
    assert np.percentile(uneven, 99) / np.median(uneven) > 1.2 * np.percentile(even, 99) / np.median(even)


def test_recall_is_the_mean_share_of_the_expected_that_is_found():
    assert problem.recall(np.array([[1, 2, 9], [5, 6, 7]]), np.array([[1, 2, 3], [7, 6, 5]])) == (
        pytest.approx(5 / 6)
    )
    assert problem.recall(np.array([[-1, -1]]), np.array([[0, 1]])) == 0


def test_a_knob_is_turned_to_the_least_that_reaches_the_target():
    tried = []

    def recall(setting):
        tried.append(setting["ef"])
        return setting["ef"] / 100

    tuned = tune([Ladder("ef", 1, 100)], recall, lambda _: 0.0, 0.12)
    assert tuned == Tuned({"ef": 12}, 0.12)
    assert len(tried) == len(set(tried)) < 12


def test_of_settings_that_reach_the_target_the_quickest_is_taken():
    ladders = [Ladder("leaves", 1, 64, (("re-ordered", n),)) for n in (1, 2, 4)]

    def recall(setting):
        return min(setting["leaves"] / 10, 0.5 * setting["re-ordered"])

    tuned = tune(ladders, recall, lambda setting: -setting["re-ordered"], 1.0)
    assert tuned == Tuned({"leaves": 10, "re-ordered": 4}, 1.0)


def test_where_no_setting_reaches_the_target_it_is_that_of_most_recall():
    tuned = tune([Ladder("ef", 8, 50)], lambda setting: setting["ef"] / 100, lambda _: 0.0, 0.98)
    assert tuned == Tuned({"ef": 50}, 0.5)


def test_a_result_takes_the_median_turn_and_all_requests():
    opened = Opened(bytes=5, setting={"ef": 3}, tuned_recall=0.9)
    first = Answers({1: [0.001] * 4, 256: [0.1]}, {1: 4, 256: 256}, {1: 0.97, 256: 0.98})
    turns = [first, *(Answers({1: [s] * 4, 256: [s]}, {1: 4, 256: 256}, {}) for s in (0.002, 0.004))]
    found = ann.summary(ann.Built(7.0, 9), opened, turns)
    assert found["batches"][1] == pytest.approx({"recall": 0.97, "qps": 500, "p50_ms": 2, "p99_ms": 4})
    assert found["batches"][256]["qps"] == pytest.approx(256 / 0.004)
    assert (found["build_seconds"], found["build_peak_bytes"], found["memory_bytes"]) == (7.0, 9, 5)
    json.dumps(found)


def test_the_table_says_who_fell_short_and_holds_what_was_wanted():
    def found(qps, tuned_recall):
        batch = {"recall": 0.91, "qps": qps, "p50_ms": 1.0, "p99_ms": 2.0}
        return {
            "setting": {"leaves": 2000},
            "tuned_recall": tuned_recall,
            "batches": {1: batch, 256: {**batch, "qps": 10 * qps}},
            "build_seconds": 3.0,
            "build_peak_bytes": 2e9,
            "memory_bytes": 1e9,
        }

    measured = {"westwork-scann": found(900, None), "scann": found(1000, 0.99), "hnswlib": found(2000, 0.9)}
    results = {"size": 5000, "dim": 8, "recall": 0.98, "sets": {"clustered": measured}}
    lines = ann.table("clustered", results).splitlines()
    assert (
        "| westwork-scann | 2,000 leaves | 0.9100 | 900 | 1.00 | 2.00 | 9,000 | 1.00 | 2.00 | 3 s |"
        in lines[5]
    )
    assert [line for line in lines if "the most tried" in line] == [lines[7]]
    assert "| westwork-scann | scann | 256 | 0.90 | ≥ 0.80 |" in lines
    assert not any(line.startswith("| westwork-ivf") for line in lines)


def test_contenders_whose_library_is_not_there_are_left_out_and_one_is_told_how_to_have_them(tmp_path):
    names = ["scann", "absent"]
    contenders = {"scann": ann.CONTENDERS["scann"], "absent": ("absent_index", "Absent")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ann, "CONTENDERS", contenders)
        patch.setattr(ann, "NOT_REQUIRED", {"absent_index": ("no_such_library", "no-such")})
        missing = ann.missing_libraries(names, tmp_path)
        assert missing == {"absent": "no-such"}
        (tmp_path / "no_such_library.py").touch()
        assert ann.missing_libraries(names, tmp_path) == {}
    said = ann.remarks({"cores": 2, "load_before": 0.1, "not_installed": missing})
    assert "Not measured: absent" in said
    assert "pip install --target FOLDER --no-deps no-such" in said
    assert "PROVISIONAL" not in said
