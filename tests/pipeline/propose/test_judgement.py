"""What in a log says that somebody liked something."""

from __future__ import annotations

import pytest

from tests.pipeline.propose.shop import (
    events,
    items,
    proposed,
    unbroken,
    write_csv,
)


@pytest.mark.parametrize(
    ("values", "bounds"),
    [
        ([1, 2, 3, 4, 5], (1, 5, 4)),
        ([0.5, 1, 2.5, 4, 4.5, 5], (0.5, 5, 4)),
        ([2, 5, 8, 10], (1, 10, 8)),
    ],
)
def test_a_rating_gets_the_scale_its_numbers_lie_on(tmp_path, values, bounds):
    rows = [
        {"user_id": r["user_id"], "item_id": r["item_id"], "stars": values[at % len(values)], "ts": r["ts"]}
        for at, r in enumerate(events())
    ]
    domain = proposed(
        tmp_path, write_csv(tmp_path / "log.csv", rows), write_csv(tmp_path / "items.csv", items())
    )
    rating = domain.interactions.rating
    assert rating is not None
    assert (rating.minimum, rating.maximum, rating.positive_from) == bounds
    text = unbroken((tmp_path / "domain" / "domain.yaml").read_text())
    share = sum(r["stars"] >= bounds[2] for r in rows) / len(rows)
    assert f"positive_from: {bounds[2]:g} makes {share:.0%} of the rows positive" in text


def test_files_named_after_actions_become_sources_with_actions(tmp_path):
    rows = [{key: row[key] for key in ("user_id", "item_id", "ts")} for row in events()]
    views = write_csv(tmp_path / "views.csv", rows[:300])
    # The same column under another name in the other file.
    bought = [{"user_id:token": r["user_id"], "item_id": r["item_id"], "ts": r["ts"]} for r in rows[300:]]
    purchases = write_csv(tmp_path / "purchases.csv", bought, ";")
    domain = proposed(tmp_path, views, purchases, write_csv(tmp_path / "items.csv", items()))
    sources = {source.action: source for source in domain.interactions.sources}
    assert set(sources) == {"views", "purchases"}
    assert sources["purchases"].delimiter == ";"
    assert sources["purchases"].columns == {"user_id": "user_id:token"}
    assert domain.interactions.actions is not None
    assert domain.interactions.actions.weights == {"views": 1, "purchases": 5}


@pytest.mark.parametrize("name", ["clicked", "is_liked", "label", "was_purchased", "viewed"])
def test_zeros_and_ones_are_actions_and_no_rating(tmp_path, name):
    rows = [
        {"user_id": r["user_id"], "item_id": r["item_id"], name: int(at % 4 == 0), "ts": r["ts"]}
        for at, r in enumerate(events())
    ]
    log = write_csv(tmp_path / "log.csv", rows)
    interactions = proposed(tmp_path, log, write_csv(tmp_path / "items.csv", items())).interactions
    assert interactions.rating is None
    assert interactions.actions is not None
    assert (interactions.actions.column, interactions.actions.weights) == (name, {"0": 0, "1": 1})


@pytest.mark.parametrize("name", ["add_to_cart_order", "line", "row_index", "reordered", "step"])
def test_places_in_a_list_and_nameless_zeros_and_ones_judge_nothing(tmp_path, name):
    values = [0, 1] if name == "reordered" else [1, 2, 3, 4, 5]
    rows = [
        {"user_id": r["user_id"], "item_id": r["item_id"], name: values[at % len(values)], "ts": r["ts"]}
        for at, r in enumerate(events())
    ]
    log = write_csv(tmp_path / "log.csv", rows)
    interactions = proposed(tmp_path, log, write_csv(tmp_path / "items.csv", items())).interactions
    assert interactions.rating is None and interactions.actions is None


def test_what_all_files_begin_with_is_no_part_of_the_action(tmp_path):
    rows = [{key: row[key] for key in ("user_id", "item_id", "ts")} for row in events()]
    files = [
        write_csv(tmp_path / "shop-clicks.csv", rows[:300]),
        write_csv(tmp_path / "shop-buys.csv", rows[300:]),
    ]
    domain = proposed(tmp_path, *files, write_csv(tmp_path / "items.csv", items()))
    assert {source.action for source in domain.interactions.sources} == {"clicks", "buys"}
    assert domain.interactions.actions is not None
    assert domain.interactions.actions.weights == {"clicks": 1, "buys": 5}
