"""Which table is the catalogue, by keys and joins."""

from __future__ import annotations

from pipeline.domain import load_domain
from tests.pipeline.propose.shop import (
    START,
    events,
    init,
    items,
    proposed,
    users,
    write_csv,
)


def test_integer_ids_that_overlap_are_joined_by_their_names_and_coverage(tmp_path):
    rows = [{**r, "user_id": r["user_id"][1:], "item_id": r["item_id"][1:]} for r in events()]
    log = write_csv(tmp_path / "log.csv", rows)
    catalogue = write_csv(tmp_path / "films.csv", [{**r, "item_id": r["item_id"][1:]} for r in items()])
    people = write_csv(tmp_path / "people.csv", [{**r, "user_id": r["user_id"][1:]} for r in users()])
    domain = proposed(tmp_path, log, catalogue, people)
    assert domain.candidates.files == str(catalogue)
    assert domain.queries is not None and domain.queries.files == str(people)
    # Without the names the joins alone must do: every user's number is also a film's.
    rows = [{"a": r["user_id"], "b": r["item_id"], "ts": r["ts"]} for r in rows]
    log = write_csv(tmp_path / "log.csv", rows)
    assert init(tmp_path / "domain", log, catalogue, people, more=("--force",)).exit_code == 0
    assert load_domain(str(tmp_path / "domain")).interactions.candidate_id == "b"


def test_a_catalogue_with_times_and_brands_is_no_log_even_if_it_is_larger(tmp_path):
    brands = [{"brand_id": f"b{number}", "brand": f"Brand {number}"} for number in range(20)]
    catalogue = [
        {"item_id": f"i{at}", "brand_id": f"b{at % 20}", "kind_id": f"k{at % 3}", "created": START + at % 90}
        for at in range(900)
    ]
    domain = proposed(
        tmp_path,
        write_csv(tmp_path / "items.csv", catalogue),
        write_csv(tmp_path / "brands.csv", brands),
        write_csv(tmp_path / "log.csv", events()),
    )
    assert domain.interactions.sources[0].files == str(tmp_path / "log.csv")
    assert domain.candidates.files == str(tmp_path / "items.csv")
    assert domain.queries is None
