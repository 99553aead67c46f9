from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.public_splits import USER, Log, all_items, one_a_user, other_items, read_log
from components.ingest.declaration import HISTORY
from components.ingest.errors import UserError
from components.transform.candidate_table import UNKNOWN_ROW
from components.transform.interaction_dataset import CANDIDATE_ROW, EncodedInteractions

LOG = Log(
    users=np.array([0] * 7 + [1] * 2 + [3]),
    items=np.array([2, 4, 5, 6, 7, 8, 9, 0, 9, 5]),
    user_count=4,
    item_count=10,
)


def asked_with_histories(interactions: EncodedInteractions) -> list[tuple[int, int, list[int]]]:
    """User, item and history of every interaction."""
    columns = [interactions.column(name).numpy() for name in (USER, CANDIDATE_ROW, HISTORY)]
    return [
        (int(user), int(item), sorted(history[history != UNKNOWN_ROW].tolist()))
        for user, item, history in zip(*columns, strict=True)
    ]


def test_a_history_of_other_items_never_holds_what_its_query_asks_for():
    interactions = other_items(LOG, parts=3, length=8, seed=5)
    found = asked_with_histories(interactions)
    assert [(user, item) for user, item, _ in found] == list(zip(LOG.users, LOG.items, strict=True))
    for query in range(interactions.query_count):
        of_query = [found[place] for place in np.flatnonzero(interactions.query_of.numpy() == query)]
        user, _, history = of_query[0]
        asked = [item for _, item, _ in of_query]
        everything = LOG.items[LOG.users == user].tolist()
        assert not {*asked} & {*history}
        assert sorted([*asked, *history]) == sorted(everything), "all that is not asked for is known"


def test_a_users_items_are_dealt_into_parts_of_nearly_one_size():
    interactions = other_items(LOG, parts=3, length=8, seed=5)
    users = interactions.queries[USER].numpy()
    sizes = np.bincount(interactions.query_of.numpy())
    assert {user: sorted(sizes[users == user].tolist()) for user in (0, 1, 3)} == {
        0: [2, 2, 3],
        1: [1, 1],
        3: [1],
    }


def test_the_dealing_of_items_follows_from_the_seed():
    first, again, other = (other_items(LOG, parts=3, length=8, seed=seed) for seed in (5, 5, 6))
    assert asked_with_histories(first) == asked_with_histories(again)
    assert asked_with_histories(first) != asked_with_histories(other)


def test_of_a_history_longer_than_allowed_an_even_choice_is_kept():
    history = all_items(LOG, np.array([0, 1, 2]), length=3)
    np.testing.assert_array_equal(
        history, [[2, 5, 7], [0, 9, UNKNOWN_ROW], [UNKNOWN_ROW, UNKNOWN_ROW, UNKNOWN_ROW]]
    )


def test_one_interaction_is_kept_of_each_user_that_has_two_or_more():
    kept = one_a_user(LOG, 3)
    assert LOG.users[kept].tolist() == [0, 1]
    np.testing.assert_array_equal(kept, one_a_user(LOG, 3))


def test_a_log_is_sorted_by_user_and_then_by_its_order(tmp_path: Path):
    path = tmp_path / "train.parquet"
    pq.write_table(pa.table({"user": [1, 0, 1], "item": [5, 6, 7], "pos": [2, 0, 1]}), path)
    log = read_log(path, 2, 8, order="pos")
    assert (log.users.tolist(), log.items.tolist(), log.starts.tolist()) == ([0, 1, 1], [6, 7, 5], [0, 1, 3])


def test_a_folder_without_the_data_is_named_with_what_to_do(tmp_path: Path):
    with pytest.raises(UserError, match=r"found no .*train\.parquet.*[Nn]ame the folder .* --data"):
        read_log(tmp_path / "ncf_ml1m" / "train.parquet", 6040, 3706)
