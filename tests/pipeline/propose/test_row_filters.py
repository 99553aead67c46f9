"""Which rows of a log are no interactions, or take one back."""

from __future__ import annotations

import random

import pytest

from pipeline.propose.proposal import Proposal, propose
from tests.pipeline.propose import raw_files
from tests.pipeline.propose.raw_files import write
from tests.pipeline.propose.test_roles import tables_of


def proposal_of(files) -> Proposal:
    return propose(tables_of(files), "Shop")


def log_of(folder, **columns):
    """A log of 400 rows, each further column by a function of its number."""
    chance = random.Random(1)
    rows = [
        {
            "user": f"u{chance.randrange(30)}",
            "item": f"i{chance.randrange(50)}",
            "at": 1_600_000_000 + 60 * at,
            **{name: make(at) for name, make in columns.items()},
        }
        for at in range(400)
    ]
    return [write(folder / "log.csv", list(rows[0]), [list(row.values()) for row in rows])]


@pytest.mark.parametrize("nobody", ["", "NULL", "\\N", "nan", "None", "N/A", "undefined"])
def test_rows_without_a_user_are_left_out_and_counted(tmp_path, nobody):
    files = log_of(tmp_path, customer=lambda at: nobody if at % 5 == 0 else f"c{at % 37}")
    text = files[0].read_text().replace("user,", "seller,", 1)
    files[0].write_text(text)
    proposal = proposal_of(files)
    assert proposal.roles.query.name == "customer"
    assert proposal.roles.log.edits.where == {"customer": "present"}
    assert proposal.facts.left_out == 80
    assert dict(proposal.roles.log.edits.missing) == ({"customer": (nobody,)} if nobody else {})


@pytest.mark.parametrize(
    ("nobody", "missing"),
    [("-1", -1), ("0", 0), ("unknown", "unknown"), ("Anonymous", "Anonymous"), ("guest", "guest")],
)
def test_an_id_that_stands_for_nobody_is_missing(tmp_path, nobody, missing):
    number = nobody.lstrip("-").isdigit()
    proposal = proposal_of(
        log_of(
            tmp_path, user=lambda at: nobody if at % 5 == 0 else 100 + at % 37 if number else f"c{at % 37}"
        )
    )
    assert proposal.roles.log.edits.missing == {"user": (missing,)}
    assert proposal.roles.log.edits.where == {"user": "present"}
    assert proposal.facts.left_out == 80


def test_one_user_with_a_large_share_is_a_doubt_that_says_what_to_do(tmp_path):
    proposal = proposal_of(log_of(tmp_path, user=lambda at: "c1" if at % 2 else f"c{at % 97}"))
    assert "c1 has 5" in proposal.doubts("interactions.query_id")
    assert "where: {user: present}" in proposal.doubts("interactions.query_id")
    assert not proposal.roles.log.edits.where


@pytest.mark.parametrize(
    ("grades", "where"),
    [
        ([0, 0, 0, 0, 5, 6, 8, 10], {"rating": "5.."}),
        ([0, 0, 0, 1, 3, 4, 5], {"rating": "1.."}),
        ([1, 2, 3, 4, 5], {}),
        ([0, 1, 2, 3, 4], {}),
    ],
)
def test_a_rating_of_0_that_stands_apart_is_none(tmp_path, grades, where):
    proposal = proposal_of(log_of(tmp_path, rating=lambda at: grades[at % len(grades)]))
    assert proposal.judgement.rating is not None
    assert dict(proposal.roles.log.edits.where) == where
    assert ("0 is taken for no rating" in proposal.judgement.unsure) == bool(where)


def test_zeros_and_ones_are_actions_of_which_none_is_left_out(tmp_path):
    proposal = proposal_of(log_of(tmp_path, rating=lambda at: at % 2))
    assert proposal.judgement.rating is None
    assert proposal.judgement.weights == {"0": 0, "1": 1}
    assert not proposal.roles.log.edits.where


def test_gaps_and_returns_of_a_wholesaler_are_told(tmp_path):
    proposal = proposal_of(raw_files.online_retail(tmp_path))
    assert proposal.roles.log.edits.where == {"Customer_ID": "present"}
    assert "of the rows have no Customer ID" in proposal.roles.log.edits.why["where"]
    assert proposal.filters.cancellations == {"Quantity": "..-1"}
    assert "whose Invoice begins with C" in proposal.filters.why


@pytest.mark.parametrize("name", ["qty", "Quantity", "Menge", "units", "item_count"])
def test_a_negative_quantity_takes_an_interaction_back(tmp_path, name):
    proposal = proposal_of(log_of(tmp_path, **{name: lambda at: -2 if at % 9 == 0 else 1 + at % 4}))
    assert proposal.filters.cancellations == {name: "..-2"}
    assert (~proposal.filters.kept).sum() == 45


@pytest.mark.parametrize("name", ["temperature", "balance", "price", "user_age", "score"])
def test_a_negative_number_that_counts_nothing_takes_nothing_back(tmp_path, name):
    proposal = proposal_of(log_of(tmp_path, **{name: lambda at: -2.5 if at % 9 == 0 else 1.5 + at}))
    assert proposal.filters.cancellations == {}
