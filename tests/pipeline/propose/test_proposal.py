"""What a proposal says of a log."""

from __future__ import annotations

import pytest
from tensorflow_metadata.proto.v0 import schema_pb2

from pipeline.domain import load_domain
from tests.pipeline.propose.shop import (
    START,
    events,
    init,
    items,
    proposed,
    schema_of,
    unbroken,
    users,
    write_csv,
)


def test_columns_whose_names_ingestion_takes_are_declared_under_others(tmp_path):
    people = [{"user_id": r["user_id"], "ts": 18 + at, "weight": 60 + at} for at, r in enumerate(users())]
    domain = proposed(
        tmp_path,
        write_csv(tmp_path / "log.csv", events()),
        write_csv(tmp_path / "items.csv", items()),
        write_csv(tmp_path / "users.csv", people),
    )
    assert domain.queries is not None
    assert domain.queries.columns == {"query_ts": "ts", "weight_column": "weight"}
    assert set(domain.queries.features) == {"query_ts", "weight_column"}


def test_what_comes_with_the_interaction_is_offered_as_context_but_not_used(tmp_path):
    rows = [
        {**r, "device": "phone" if at % 3 else "desk", "seconds": at % 97} for at, r in enumerate(events())
    ]
    domain = proposed(
        tmp_path, write_csv(tmp_path / "log.csv", rows), write_csv(tmp_path / "items.csv", items())
    )
    assert list(domain.interactions.context) == ["ts", "device"]
    text = (tmp_path / "domain" / "domain.yaml").read_text()
    assert "    # seconds: {kind: numeric, scale: z_score}\n" in text
    # Uncommented in both files, it is a feature: nothing else is to be done.
    folder = tmp_path / "domain"
    (folder / "domain.yaml").write_text(text.replace("    # seconds:", "    seconds:"))
    assert "seconds" in load_domain(str(folder)).interactions.context
    assert "seconds" not in [feature.name for feature in schema_of(tmp_path, "interactions.pbtxt").feature]
    schema = folder / "interactions.pbtxt"
    before, block = schema.read_text().split('# feature {\n#   name: "seconds"')
    block, after = block.split("# }\n", 1)
    schema.write_text(before + 'feature {\n  name: "seconds"' + block.replace("\n#", "\n") + "}\n" + after)
    added = [feature for feature in schema_of(tmp_path, schema.name).feature if feature.name == "seconds"]
    assert [feature.type for feature in added] == [schema_pb2.FLOAT]


def test_where_and_how_probably_something_was_shown_is_declared_and_never_offered_as_context(tmp_path):
    rows = [
        {**r, "list_position": 1 + at % 9 if at % 4 else "", "propensity": 0.1 + at % 5 / 6, "slot": at % 3}
        for at, r in enumerate(events())
    ]
    domain = proposed(
        tmp_path, write_csv(tmp_path / "log.csv", rows), write_csv(tmp_path / "items.csv", items())
    )
    assert domain.interactions.shown == ("list_position", "propensity")
    text = (tmp_path / "domain" / "domain.yaml").read_text()
    assert "# list_position:" not in text and "# propensity:" not in text
    # Places start from 1: a slot 0 is none.
    assert "    # slot:" in text
    declared = {feature.name: feature for feature in schema_of(tmp_path, "interactions.pbtxt").feature}
    place, chance = declared["list_position"], declared["propensity"]
    assert (place.type, chance.type) == (schema_pb2.INT, schema_pb2.FLOAT)
    assert 0 < place.presence.min_fraction < chance.presence.min_fraction


def test_rows_ingestion_would_refuse_get_room_and_unknown_candidates_are_kept_if_many(tmp_path):
    rows = events(1000)
    for row in rows[:4]:
        row["user_id"] = ""
    catalogue = write_csv(tmp_path / "items.csv", items())
    domain = proposed(tmp_path, write_csv(tmp_path / "log.csv", rows), catalogue)
    assert domain.max_bad_fraction == pytest.approx(0.008)
    assert domain.interactions.unknown_candidates == "dead_letter"
    for row in rows[100:200]:
        row["item_id"] = "gone"
    write_csv(tmp_path / "log.csv", rows)
    assert init(tmp_path / "domain", tmp_path / "log.csv", catalogue, more=("--force",)).exit_code == 0
    domain = load_domain(str(tmp_path / "domain"))
    assert domain.max_bad_fraction == pytest.approx(0.008)
    assert domain.interactions.unknown_candidates == "stub"


def test_groceries_are_measured_with_repeats(tmp_path):
    rows = [{"user_id": f"u{at % 5}", "item_id": f"i{at % 7}", "ts": START + at} for at in range(500)]
    domain = proposed(
        tmp_path, write_csv(tmp_path / "log.csv", rows), write_csv(tmp_path / "items.csv", items())
    )
    assert domain.evaluation.repeats and domain.assemble.rank_history
    assert domain.interactions.actions is None and domain.interactions.rating is None


def test_without_a_catalogue_the_log_makes_one_of_the_columns_that_follow_from_the_item(tmp_path):
    rows = [
        {**row, "item_name": row["item_id"].upper(), "seconds": at % 97} for at, row in enumerate(events())
    ]
    domain = proposed(
        tmp_path, write_csv(tmp_path / "log.csv", rows), write_csv(tmp_path / "users.csv", users())
    )
    assert domain.candidates.made_from == "interactions"
    assert (domain.candidates.id, domain.candidates.title) == ("item_id", "item_name")
    assert domain.queries is not None and domain.queries.files == str(tmp_path / "users.csv")
    assert "no table of items was given" in unbroken((tmp_path / "domain" / "domain.yaml").read_text())


def test_without_a_time_the_rows_are_the_order_and_what_is_lost_is_said(tmp_path):
    rows = [{"user": r["user_id"], "item": r["item_id"]} for r in events()]
    domain = proposed(tmp_path, write_csv(tmp_path / "log.csv", rows))
    assert domain.interactions.timestamp.order == "rows"
    assert domain.split.kind == "leave_last_out"
    text = unbroken((tmp_path / "domain" / "domain.yaml").read_text())
    assert "Lost: ages in the history, hours and days as context, a split by time" in text


def test_a_table_that_nothing_says_is_a_log_is_refused_with_the_options_that_say_so(tmp_path):
    rows = [{"a": r["user_id"], "b": r["item_id"]} for r in events()]
    log = write_csv(tmp_path / "log.csv", rows)
    result = init(tmp_path / "domain", log)
    assert result.exit_code == 1
    assert "none of the files is an event log. Found: log.csv (a, b)" in result.stderr
    assert "--user COLUMN --item COLUMN --time COLUMN" in result.stderr
    assert init(tmp_path / "domain", log, more=("--user", "a", "--item", "b")).exit_code == 0


@pytest.mark.parametrize(
    ("key", "of_row", "kind"),
    [
        ("user_id", lambda at: f"u{at // 10}", "leave_last_out"),
        ("user_id", lambda at: f"u{at % 40}", "time"),
        ("session_id", lambda at: f"s{at // 10}", "time"),
    ],
)
def test_of_users_who_never_come_back_the_last_is_held_out(tmp_path, key, of_row, kind) -> None:
    """By time, all of eval and test would be strangers; visits are strangers by nature."""
    rows = [{key: of_row(at), "item_id": row["item_id"], "ts": row["ts"]} for at, row in enumerate(events())]
    domain = proposed(tmp_path, write_csv(tmp_path / "log.csv", rows))
    assert domain.split.kind == kind
    text = (tmp_path / "domain" / "domain.yaml").read_text()
    assert ("only 0% of what is measured" in unbroken(text)) == (kind == "leave_last_out")
