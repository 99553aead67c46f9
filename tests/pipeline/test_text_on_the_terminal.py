"""Titles, ids, paths and names of the user's are shown as they are: no terminal markup, no pictures."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from components.assemble.index_report import IndexReport
from pipeline import cli
from pipeline.answer_view import print_answer
from pipeline.check_data.report import BadRow, FeatureFacts, FileFacts, Finding, LogFacts, Report, TableFacts
from pipeline.check_data.view import print_report
from pipeline.cli_options import plain_console
from pipeline.domain import load_domain
from pipeline.export import print_export
from pipeline.recommend import Answer, Item, Recommendation
from pipeline.run_command import RunRequest, RunResult, run_pipeline
from pipeline.run_root import RunRoot
from pipeline.summary import RunSummary, SplitFacts, print_summary
from pipeline.tune.trials import Trial
from pipeline.tune.view import print_best, print_result, trial_line

HOSTILE = (
    "[bold]loud[/bold]",
    "[/]",
    "[/red] ends nothing",
    "[link=http://x]y[/link]",
    "[@click=quit]z",
    "data [v2]",
    ":heart: 12:car:30",
    "[red",
    "back\\",
    "back\\[bold]slash",
    "[#ff0000]x[not a tag]",
)
"""What may stand in a title or a path; rich takes most of it for a command."""

Say = Callable[[Console, str, Path], None]


def answer(console: Console, text: str, _: Path) -> None:
    items = (Recommendation(text, f"title {text}", 1, 0.5, {text: 0.5}),)
    told = Answer(text, True, False, 0, "7", "m", 9, (text,), items, (Item(text, f"liked {text}"),), text)
    print_answer(console, told, 5, ["westwork", text])


def nobody(console: Console, text: str, _: Path) -> None:
    print_answer(console, Answer(text, False, False, 0, "7", "m", 9, (), (), (), text), 5, ["westwork"])


def checked(console: Console, text: str, _: Path) -> None:
    table = TableFacts(
        table="interactions", pattern=text, files=(FileFacts(path=text, bytes=1),), spans=(), rows=1
    )
    log = LogFacts.model_construct(
        rows=2, bad=1, bad_by_reason={text: 1}, before_since=0, duplicates=0, usable=1, exact=True,
        bad_rows=(BadRow(file=text, row=1, column=text, value=text, reason=text),), in_catalogue=None,
    )  # fmt: skip
    features = (
        FeatureFacts(table="queries", name=text, kind="text", missing=0.0, distinct=1, seen=f"seen {text}"),
    )
    findings = (Finding(level="warning", about=text, message=text),)
    told = Report(title=text, folder=text, data=text, tables=(table,), features=features, findings=findings)
    print_report(console, told.model_copy(update={"log": log}))


def summary(console: Console, text: str, folder: Path) -> None:
    values = {f"{text}/auc": 0.5, "recommend/recall@10": 0.5, "popularity/recall@10": 0.4}
    facts = SplitFacts(count=1, positives=1, queries=1, first=0, last=1)
    told = RunSummary(
        splits={"test": facts}, bad_by_reason={text: 1}, left_out={text: 1}, evaluated={}, candidates=1,
        metrics={"test": values}, failures=(text,), pushed=None, report=text, index=text, served=text,
        warnings=(text,),
    )  # fmt: skip
    print_summary(console, told, {}, folder / "log", folder, ["westwork", text])


def exported(console: Console, text: str, _: Path) -> None:
    report = IndexReport(kind="exact", asked="scann", candidates=1, width=1, reason=text)
    print_export(console, Path("/models") / text / "7", report)


def tuned(console: Console, text: str, _: Path) -> None:
    trial = Trial(
        number=1, settings={"a": text}, state="done", seconds=1, recall_at_100=0.5, recall_at_10=0.5
    )
    print_result(console, text, [trial], [Path(text), Path(text)])
    print_best(console, trial, {"retrieval.loss": text}, ["westwork", text], None)
    failed = Trial(number=2, settings={}, state="failed", seconds=1, error=text)
    console.print(trial_line(failed, 2, None), highlight=False, soft_wrap=True)


def begun(console: Console, text: str, folder: Path) -> None:
    domain = load_domain("movielens").model_copy(update={"title": text, "acquire": None})
    request = RunRequest("movielens", (f"title={text}",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.run_command.run_child", lambda *_: RunResult())
        patch.setattr(RunRoot, "new_log", lambda _: Path(text))
        run_pipeline(console, domain, RunRoot(folder), request, [])


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "say", [answer, nobody, checked, summary, exported, tuned, begun], ids=lambda say: say.__name__
)
def test_text_of_the_users_is_shown_as_it_is(say: Say, text: str, tmp_path: Path) -> None:
    assert said(say, text, tmp_path) == said(say, "TEXT", tmp_path).replace("TEXT", plain(text))


def said(say: Say, text: str, folder: Path) -> str:
    """What is shown, whatever the width of tables, and how shells, YAML and paths write it."""
    console = plain_console(file=io.StringIO(), width=1000)
    say(console, text, folder)
    shown = re.sub(r"[\s─]+", " ", console.file.getvalue())
    return plain(shown)


def plain(text: str) -> str:
    """Without quotes, doubled slashes and backslashes."""
    return re.sub(r"['\"]", "", text).replace("//", "/").replace("\\\\", "\\")


@pytest.mark.parametrize("text", HOSTILE)
def test_an_errors_text_is_shown_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli._say_error(f"{text}: found {text!r}")
    assert capsys.readouterr().err == f"error {text}: found {text!r}\n"
