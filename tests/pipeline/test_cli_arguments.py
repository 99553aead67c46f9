"""Arguments that make no sense are refused with what was expected, before anything is loaded or started."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from components.ingest.errors import UserError
from pipeline.cli import main
from pipeline.domain import load_domain
from pipeline.recommend import parsed_filters

TINY = str(Path(__file__).parents[1] / "fixtures" / "tiny")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("recommend --user 1 --k 0", 2, "0 is not in the range 1<=x<=100000"),
        ("recommend --user 1 --k -1", 2, "-1 is not in the range"),
        ("recommend --user 1 --k 99999999999999999999", 2, "is not in the range"),
        ("recommend --user 1 --k ten", 2, "'ten' is not a valid integer range"),
        ("recommend --user 1 --diversity nan", 2, "nan is not a finite number"),
        ("recommend --user 1 --diversity 1", 2, "not in the range"),
        ("recommend --user 1 --at yesterday", 2, "'yesterday' does not match the format"),
        ("recommend --user 1 --at 2024-02-30", 2, "'2024-02-30' does not match the format"),
        ("recommend --user 1 --context device", 2, "--context device: expected NAME=VALUE"),
        ("recommend --user 1 --example", 2, "expected either --user ID or --example"),
        ("tune --trials 0", 2, "0 is not in the range"),
        ("tune --minutes nan", 2, "nan is not a finite number"),
        ("tune --minutes inf", 2, "inf is not in the range"),
        ("serve --port 99999999", 2, "99999999 is not in the range 0<=x<=65535"),
        ("serve --port -1", 2, "-1 is not in the range"),
        ("serve --poll-seconds nan", 2, "nan is not a finite number"),
        ("serve --connection-seconds 1e300", 2, "is not in the range"),
        ("serve --concurrency 0", 2, "0 is not in the range"),
        ("run --set retrieval.dim", 1, "--set retrieval.dim: expected key=value"),
        ("run --set =3", 1, "--set =3: expected key=value"),
        ("run --set retrieval.dim=[", 1, "retrieval.dim: is no YAML"),
        ("run --domain nowhere", 1, "no domain 'nowhere': expected one of"),
        (f"run --domain {TINY}/interactions.csv", 1, "expected keys such as 'interactions:'"),
        (f"run --domain {__file__}", 1, "is no YAML"),
        (f"validate --domain {TINY} --data /nowhere", 2, "Directory '/nowhere' does not exist"),
        ("run --domain /dev/null", 1, "no domain '/dev/null'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_with_what_was_expected(words, code, message):
    result = CliRunner().invoke(main, words.split())
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code
    assert message in result.output


@pytest.mark.parametrize(
    "text", ["pages", "pages=", "pages=5", "pages=a..b", "pages=9..1", "pages=nan..", "pages=..inf"]
)
def test_a_filter_that_is_no_range_is_refused(text):
    with pytest.raises(UserError, match=r"--filter pages.*expected"):
        parsed_filters(load_domain(TINY).declaration, [text])


@pytest.mark.parametrize(
    ("text", "bounds"), [("pages=1..", [1.0, None]), ("pages=..9", [None, 9.0]), ("pages=4..4", [4.0, 4.0])]
)
def test_a_filter_of_a_number_is_a_range_of_which_either_end_may_be_left_out(text, bounds):
    assert parsed_filters(load_domain(TINY).declaration, [text]) == {"pages": bounds}
