"""What becomes of a column."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.pipeline.propose.shop import (
    events,
    items,
    proposed,
    unbroken,
    write_jsonl,
    write_parquet,
)


def test_lists_vectors_times_and_nearly_numbers_get_their_kinds(tmp_path):
    rows = [
        {
            "item_id": row["item_id"],
            "name": row["name"],
            "tags": row["genres"].split("|"),
            "vector": [float(at), 0.5, 0.25, 1.0],
            "released": datetime(2000, 1 + at % 12, 1),
            "pages": "lots" if at == 7 else str(100 + at),
            "zip": f"{at:05d}",
            "slug": f"x{at}",
            "inner": {"a": at},
        }
        for at, row in enumerate(items())
    ]
    catalogue = write_parquet(tmp_path / "items.parquet", rows)
    domain = proposed(tmp_path, write_jsonl(tmp_path / "log.jsonl", events()), catalogue)
    features = domain.candidates.features
    assert features["tags"].kind == "multivalent"
    assert (features["vector"].kind, features["vector"].dim) == ("embedding", 4)
    assert (features["released"].kind, features["released"].parts) == ("timestamp", ("month_of_year",))
    assert "slug" not in features and "inner" not in features
    assert "zip" not in features or features["zip"].kind != "numeric"
    text = unbroken((tmp_path / "domain" / "domain.yaml").read_text())
    assert "pages" not in features or features["pages"].kind != "numeric"
    assert "slug nearly every row has its own value" in text


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("age", "numeric"),
        ("price", "numeric"),
        ("Preis", "numeric"),
        ("page_count", "numeric"),
        ("in_stock", "vocabulary"),
        ("shelf_nr", "vocabulary"),
    ],
)
def test_two_numbers_are_categories_unless_the_name_says_that_they_count_or_measure(tmp_path, name, kind):
    rows = [
        {"item_id": row["item_id"], "name": row["name"], name: (25, 49)[at % 2]}
        for at, row in enumerate(items())
    ]
    catalogue = write_parquet(tmp_path / "items.parquet", rows)
    domain = proposed(tmp_path, write_jsonl(tmp_path / "log.jsonl", events()), catalogue)
    assert domain.candidates.features[name].kind == kind


def test_bars_separate_values_however_few_cells_there_are(tmp_path):
    rows = [
        {"item_id": row["item_id"], "name": row["name"], "tags": ("a|b|c", "b", "a|c")[at % 3]}
        for at, row in enumerate(items())
    ]
    catalogue = write_parquet(tmp_path / "items.parquet", rows)
    domain = proposed(tmp_path, write_jsonl(tmp_path / "log.jsonl", events()), catalogue)
    feature = domain.candidates.features["tags"]
    assert (feature.kind, feature.separator, feature.max_values) == ("multivalent", "|", 3)
