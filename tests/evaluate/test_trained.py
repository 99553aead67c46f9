"""The trained baselines' rankings as lists of a served model's catalogue."""

import numpy as np
import pyarrow as pa

from components.evaluate.config import RETRIEVED
from components.evaluate.list_metrics import UNFILLED
from components.evaluate.served import Catalogue
from components.evaluate.trained import TrainedRivals, listed


def catalogue(ids: str) -> Catalogue:
    counts = pa.array([1] * len(ids), pa.int64())
    return Catalogue.from_table(
        pa.table({"id": list(ids), "train_positive_count": counts, "train_count": counts})
    )


def as_ids(*rows: list[str]) -> np.ndarray:
    return np.array([[id_.encode() for id_ in row] for row in rows], object)


def test_what_is_excluded_or_outside_the_catalogue_is_left_out_and_the_rest_moves_up():
    ranked = as_ids(["e", "x", "a", "c", "b"], ["a", "b", "c", "e", "x"])
    rows = listed(catalogue("abce"), ranked, as_ids(["a", "", "z"], ["", "", ""]))
    assert rows.shape == (2, RETRIEVED)
    # Rows of a, b, c, e: 0 to 3. x is not in this catalogue, though the baselines know it.
    assert rows[0, :4].tolist() == [3, 2, 1, UNFILLED]
    assert rows[1, :5].tolist() == [0, 1, 2, 3, UNFILLED]
    assert (rows[:, 5:] == UNFILLED).all()


def test_no_more_than_the_first_hundred_are_listed():
    ids = [f"{number:03}" for number in range(150)]
    counts = pa.array([1] * 150, pa.int64())
    large = Catalogue.from_table(pa.table({"id": ids, "train_positive_count": counts, "train_count": counts}))
    rows = listed(large, as_ids(ids[::-1]), as_ids(["149", "120"]))
    assert rows.tolist() == [[row for row in range(148, 47, -1) if row != 120]]


def test_without_a_kind_nothing_is_read_or_ranked(tmp_path):
    assert TrainedRivals(str(tmp_path / "nowhere"), ()).ranked(as_ids(["a"])) == {}
