from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.check_data.nobodies import about_nobodies


def found(ids: list[str]) -> list[str]:
    return [
        finding.message
        for finding in about_nobodies("interactions.query_id", "user", pa.chunked_array([ids]))
    ]


USERS = [f"u{number}" for number in range(1, 60) for _ in range(3)]


@pytest.mark.parametrize(
    "nobody",
    [
        "nan",
        "None",
        "NULL",
        "\\N",
        "N/A",
        "undefined",
        "-1",
        " ",
        "Guest",
        "00000000-0000-0000-0000-000000000000",
    ],
)
def test_ids_that_stand_for_nobody_are_told_with_the_condition_that_leaves_them_out(nobody) -> None:
    (message,) = found([*USERS, nobody])
    assert f'not: ["{nobody}"]' in message and "is that nobody?" in message


def test_zero_is_nobody_only_where_it_stands_out() -> None:
    numbers = [str(number) for number in range(50) for _ in range(3)]
    assert not found(numbers)
    assert found([*numbers, *["0"] * 30])


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        ([*USERS, *["web"] * 200], True),
        ([*USERS, *["web"] * 9], False),
        (["a"] * 90 + ["b"] * 10, False),
        ([*USERS, *["web"] * 200, *["app"] * 190], False),
        (USERS, False),
    ],
)
def test_one_query_with_most_of_the_rows_is_told(ids, told) -> None:
    assert bool(found(ids)) == told
