"""Columns that cannot be inputs of the served model are refused before anything runs."""

import pytest

from components.assemble.signature_names import check_signature_names
from components.ingest.declaration import Declaration


def declare(query_id="user", context=(), features=()):
    return Declaration.model_validate(
        {
            "interactions": {
                "sources": [{"files": "log.csv"}],
                "query_id": query_id,
                "candidate_id": "Item Number",
                "timestamp": {"column": "at"},
                "context": {name: {"kind": "vocabulary"} for name in context},
            },
            "candidates": {
                "files": "items.csv",
                "id": "item",
                "features": {name: {"kind": "vocabulary"} for name in features},
            },
        }
    )


def test_names_that_tensorflow_takes_are_accepted():
    check_signature_names(declare(context=["user.agent", "shop-2", "2nd", "Item"], features=["at", "user"]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"query_id": "Customer ID"},
            r"'Customer ID' cannot be .*sources' columns.*{customer_id: ",
        ),
        ({"features": ["größe"]}, r"'größe' cannot be .*candidates.columns.*{gr_e: größe}"),
        ({"context": ["_private"]}, r"'_private' cannot be .*{private: _private}"),
        ({"context": ["exclude"]}, "'exclude' has a name that the models need"),
        ({"context": ["Filter_price"]}, "'Filter_price' has a name that the models need"),
        ({"context": ["candidate_row"]}, "'candidate_row' has a name that the models need"),
        (
            {"context": ["Age", "age"]},
            "'Age' and 'age' of the interactions differ in upper and lower",
        ),
    ],
)
def test_others_are_refused_with_how_to_rename_them(settings, message):
    with pytest.raises(ValueError, match=message):
        check_signature_names(declare(**settings))
