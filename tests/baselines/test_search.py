"""The search for hyper-parameters: bounded, seeded, and it climbs."""

import pytest

from components.baselines.search import Trial, best, search

GRID = {"a": (1, 2, 3, 4, 5, 6), "b": (10, 20, 30, 40, 50, 60)}


def trial(settings) -> Trial:
    """The better, the nearer to a = 5 and b = 50."""
    away = abs(settings["a"] - 5) + abs(settings["b"] - 50) / 10
    return Trial(settings=settings, recall_at_10=0.0, recall_at_100=1 - away / 20)


def points(seed: int = 1, trials: int = 14) -> list[tuple]:
    return [tuple(t.settings.values()) for t in search(GRID, lambda s: [trial(s)], trials=trials, seed=seed)]


def test_no_more_points_are_tried_than_asked_for_and_none_twice():
    assert len(points()) == len(set(points())) == 14
    assert len(points(trials=100)) == len(set(points(trials=100))) == 36


def test_the_middle_comes_first_and_the_trials_follow_from_the_seed():
    assert points(1)[0] == points(2)[0] == (4, 40)
    assert points(1) == points(1)
    assert points(1) != points(2)


@pytest.mark.parametrize("seed", range(5))
def test_all_but_the_first_third_are_next_to_the_best_so_far(seed):
    tried = search(GRID, lambda s: [trial(s)], trials=14, seed=seed)

    def steps(one: Trial, other: Trial) -> int:
        return sum(abs(GRID[k].index(one.settings[k]) - GRID[k].index(other.settings[k])) for k in GRID)

    everywhere = [trial({"a": a, "b": b}) for a in GRID["a"] for b in GRID["b"]]
    for number in range(5, 14):
        leader = best(tried[:number])
        near = [point for point in everywhere if steps(point, leader) == 1 and point not in tried[:number]]
        assert tried[number] in near or not near
    assert best(tried).worth >= best(tried[:5]).worth


def test_a_point_may_bring_several_trials_and_of_equal_ones_the_first_is_best():
    def twice(settings):
        return [trial({**settings, "n": n}) for n in (1, 2)]

    tried = search({"a": (5,), "b": (50,)}, twice, trials=3, seed=0)
    assert [t.settings["n"] for t in tried] == [1, 2]
    assert best(tried).settings["n"] == 1


def test_recall_at_10_decides_where_recall_at_100_is_equal():
    low, high = (Trial(settings={}, recall_at_10=r, recall_at_100=0.5) for r in (0.1, 0.2))
    assert best([low, high]) is high
