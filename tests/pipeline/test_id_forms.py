from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.check_data.id_forms import about_id_forms

USERS = [f"u{number}" for number in range(1, 60)]


def _told(ids: list[str]) -> list[str]:
    return [found.message for found in about_id_forms("interactions.query_id", "user", pa.array(ids))]


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([" u1"], "' u1' beside 'u1'"),
        (["u9\u00a0", "new "], "2 ids have blanks around them, such as 'u9\\xa0' beside 'u9'"),
        ([" v1"], "clean: {user: {trim: true}}"),
        (["17", "0017"], "clean: {user: {leading_zeros: drop}}"),
        (["Zo\u00eb", "Zoe\u0308"], "Unicode forms"),
        (["a\x00b"], "'a\\x00b'"),
        (["a\u200bb"], "a character that nobody sees"),
        (["x\ny"], "a character that nobody sees"),
        (["1.23E+12"], "a spreadsheet has rounded"),
        (["4E+11"], "a spreadsheet has rounded"),
    ],
)
def test_ids_written_in_several_ways_are_told_once_with_an_example(ids, words) -> None:
    (message,) = _told([*USERS, *ids])
    assert words in message


@pytest.mark.parametrize(
    "ids",
    [
        [],
        ["007", "0042"],
        ["Zo\u00eb", "\u0416", "\u65e5\u672c"],
        ["a b", "U1"],
        ["1e5", "12E4", "1.5"],
        ["0", "00ab"],
    ],
)
def test_ordinary_ids_are_not_doubted(ids) -> None:
    assert _told([*USERS, *ids]) == []
