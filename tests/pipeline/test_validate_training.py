"""`validate` says ok only of data that a run's steps take, and says loudly what cannot make a good model."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tfx.types import standard_artifacts

from components.ingest import interactions
from components.ingest.errors import UserError
from components.ingest.learnable import nothing_in
from components.ingest.nodes import interaction_gen
from components.ingest.summary import read_ingestion_summary
from pipeline.check_data.check import check_data
from pipeline.check_data.report import Report
from pipeline.domain import load_domain

DOMAIN: dict[str, Any] = {
    "title": "Kiosk",
    "interactions": {
        "sources": [{"files": "log.csv"}],
        "query_id": "who",
        "candidate_id": "what",
        "timestamp": {"column": "at"},
        "rating": {"column": "stars", "minimum": 1, "maximum": 5, "positive_from": 4},
        "position": "place",
        "propensity": "chance",
    },
    "candidates": {"files": "goods.csv", "id": "what", "title": "name"},
}
DAY = 86_400
BEAM_ARGS = ["--runner=FnApiRunner", "--direct_num_workers=1", "--sdk_container_image=none"]


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the log."""

    who: str
    what: str
    at: int
    stars: int
    place: str
    chance: str


def kiosk(folder: Path, rows: list[Row], goods: int, **sections: Any) -> Report:
    """Look at a log of some rows with goods g0, g1, …; without schemas, which would load TFDV."""
    content = {**DOMAIN, **sections}
    (folder / "domain.yaml").write_text(yaml.safe_dump(content))
    lines = [",".join(map(str, dataclasses.astuple(row))) for row in rows]
    (folder / "log.csv").write_text("\n".join(["who,what,at,stars,place,chance", *lines]) + "\n")
    names = "".join(f"g{number},Thing {number}\n" for number in range(goods))
    (folder / "goods.csv").write_text("what,name\n" + names)
    return check_data(load_domain(str(folder)), str(folder))


def usual(number: int) -> Row:
    """Ten people who like two of three of twenty goods, one after the other."""
    who, what, at = f"u{number % 10}", f"g{number % 20}", 10**9 + DAY * number
    return Row(who, what, at, 5 if number % 3 else 1, str(1 + number % 4), str((1 + number % 4) / 5))


def log(change: Callable[[int], dict[str, Any]] = lambda _: {}, count: int = 200) -> list[Row]:
    return [dataclasses.replace(usual(number), **change(number)) for number in range(count)]


WEIGHED = {"ranking": {"inverse_propensity": {"examination": [1.0, 0.5]}}}
ERRORS = [
    ("eval without positives", log(lambda n: {"stars": 1} if 160 <= n < 180 else {}), {}, "split",
     "the eval split has no positive interaction of those in log.csv"),
    ("train without positives", log(lambda n: {"stars": 1} if n < 160 else {}), {}, "split",
     "the train split has no positive interaction"),
    ("nobody likes anything", log(lambda n: {"stars": 1}), {}, "split", "the train split has no positive"),
    ("too few to leave two out", log(lambda n: {"who": f"u{n // 2}"}), {"split": {"kind": "leave_last_out"}},
     "split", "eval and test would be empty"),
    ("one moment", log(lambda n: {"at": 10**9}), {}, "split", "would be empty"),
    ("two moments", log(lambda n: {"at": 10**9 + n // 100}), {}, "split", "would be empty"),
    ("no positions for the tower", log(lambda n: {"place": ""}), {"ranking": {"position": {}}},
     "ranking.position", "no interaction of the train split has a value in column 'place'"),
    ("positions in test only", log(lambda n: {"place": "" if n < 180 else "1"}), WEIGHED,
     "ranking.inverse_propensity", "no interaction of the train split has a value in column 'place'"),
    ("no propensities", log(lambda n: {"chance": ""}), {"ranking": {"inverse_propensity": {}}},
     "ranking.inverse_propensity", "no interaction of the train split has a value in column 'chance'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "sections", "about", "message"), [case[1:] for case in ERRORS], ids=[case[0] for case in ERRORS]
)
def test_what_a_trainer_or_the_split_would_stop_at_is_an_error(rows, sections, about, message, tmp_path):
    report = kiosk(tmp_path, rows, 20, **sections)
    assert any(one.about == about and message in one.message for one in report.of("error")), report.findings


WARNINGS = [
    ("test without positives", log(lambda n: {"stars": 1} if n >= 180 else {}), 20, "split",
     "test has no positive interaction"),
    ("everybody new", log(lambda n: {"who": f"u{n}"}), 20, "split",
     "all of eval's positives are of queries that never occur in train"),
    ("nobody has a past", log(lambda n: {"who": f"u{n}"}), 20, "history", "is empty for every interaction"),
    ("one moment for each person", log(lambda n: {"at": 10**9 + n % 10}), 20, "history", "is empty for"),
    ("one good", log(lambda n: {"what": "g0"}), 1, "candidates", "there is only 1: a list of 10"),
    ("eval all liked", log(lambda n: {"stars": 5} if 160 <= n < 180 else {}), 20, "split",
     "every interaction of eval is positive"),
    ("five goods", log(lambda n: {"what": f"g{n % 5}"}), 5, "candidates", "there are only 5"),
    ("all liked", log(lambda n: {"stars": 5}), 20, "interactions.rating.positive_from", "makes 100.0% of"),
    ("new goods every day", log(lambda n: {"what": f"g{n}"}), 200, "split", "100% of eval's positives are"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "goods", "about", "message"), [case[1:] for case in WARNINGS], ids=[case[0] for case in WARNINGS]
)
def test_what_cannot_make_a_good_model_is_a_warning(rows, goods, about, message, tmp_path):
    report = kiosk(tmp_path, rows, goods)
    assert any(one.about == about and message in one.message for one in report.of("warning")), report.findings


def test_the_usual_kiosk_has_no_fault(tmp_path):
    report = kiosk(tmp_path, log(), 20)
    # The schemas are left out here.
    assert {one.about for one in report.of("error")} == {"interactions.pbtxt", "candidates.pbtxt"}
    assert not report.of("warning")


def test_the_trainers_refuse_in_the_words_of_validate(tmp_path):
    declaration = load_domain(str(Path(__file__).parents[1] / "fixtures" / "tiny")).declaration
    said = nothing_in("eval", declaration, positives_only=True)
    assert "the eval split has no positive interaction of those in interactions.csv" in said
    assert "a lower 'rating.positive_from'" in said


def domain(draw: random.Random) -> tuple[list[Row], int, dict[str, Any]]:
    """Rows, goods and sections of a small domain: of few people, moments and goods, some rows unusable."""
    people, goods, moments = (draw.randint(1, most) for most in (5, 6, 60))
    bad, missing = draw.choice([0, 0, 0.02]), draw.choice([0, 0.5, 1])
    rows = [
        Row(
            "" if draw.random() < bad else f"u{draw.randrange(people)}",
            "g99" if draw.random() < bad else f"g{draw.randrange(goods)}",
            10**9 + draw.randrange(moments),
            9 if draw.random() < bad else draw.randint(1, 5),
            "" if draw.random() < missing else "1",
            "" if draw.random() < missing else "0.5",
        )
        for _ in range(draw.choice([0, 2, 10, 40, 40, 80]))
    ]
    by_stars = {
        "kind": "column",
        "column": "stars",
        "train": ["1", "2", "4"],
        "eval": ["3", "5"],
        "test": ["9"],
    }
    time = {"kind": "time", "eval": 0.2, "test": 0.2}
    sections: dict[str, Any] = {
        "split": draw.choice([time, time, {"kind": "leave_last_out"}, by_stars]),
        "max_bad_fraction": draw.choice([0.0, 0.2]),
        "interactions": {
            **DOMAIN["interactions"],
            "unknown_candidates": draw.choice(["dead_letter", "stub"]),
            "duplicates": draw.choice(["drop", "keep", "dead_letter"]),
        },
    }
    return rows, goods, sections


def _runs(folder: Path) -> bool:
    """Whether ingestion takes the data, and leaves the trainers something: the run itself, up to training."""
    node = interaction_gen(load_domain(str(folder)).declaration, str(folder))
    examples = standard_artifacts.Examples()
    examples.uri = str(folder / "examples")
    context = interactions.Executor.Context(BEAM_ARGS, tmp_dir=str(folder / "tmp"), unique_id="1")
    try:
        interactions.Executor(context).Do({}, {"examples": [examples]}, dict(node.exec_properties))
    except UserError:
        return False
    splits = read_ingestion_summary(examples.uri).splits
    return all(splits[name].positives for name in ("train", "eval"))


@pytest.mark.parametrize("seed", [3, 8, 33, 21, 26, 9])
def test_what_validate_accepts_of_random_small_domains_is_what_a_run_accepts(seed, tmp_path):
    rows, goods, sections = domain(random.Random(seed))
    report = kiosk(tmp_path, rows, goods, **sections)
    errors = [one for one in report.of("error") if not one.about.endswith(".pbtxt")]
    assert _runs(tmp_path) == (not errors), errors
