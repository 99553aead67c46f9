"""The command line ``westwork``. Heavy libraries are imported by the commands that need them."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from components.ingest.errors import UserError
from pipeline.cli_options import FiniteRange, console, domain_option, plain_console, root_option
from pipeline.failures import advice_on_files
from pipeline.model_commands import export, inspect
from pipeline.serve import serve

EXIT_FAILED = 1
EXIT_NOT_BLESSED = 3
EXIT_INTERRUPTED = 130

_START = """From an event log and a catalogue to a served two-tower recommender.

\b
Start here:
  westwork doctor                       is everything installed?
  westwork run --domain movielens       get the data, train, evaluate, push
  westwork recommend --example          ask the pushed model
  westwork serve                        let programs ask it, over gRPC and REST
  westwork report --open                look at the last run
  westwork init FILES... --to mine      describe your own data
  westwork validate --domain mine       look at it before training
  westwork tune --domain mine           search for better settings
  westwork inspect MODEL                what a model takes, and which servers load it
  westwork export --index ivf --to DIR  the same model with another index
"""
_EXIT_CODES = """\b
Exit codes:
  0    done; after `run`: the model is blessed and pushed
  1    failed; the message says what was found and what to do
  2    the command line is wrong
  3    `run` went through, but the model is not blessed, so nothing was pushed
  130  interrupted with Ctrl-C"""


class _Commands(click.Group):
    """Says a user's mistake in plain words instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            _say_error(str(error))
            ctx.exit(EXIT_FAILED)
        except OSError as error:
            # Of others, click knows what to do about a pipe that nobody reads any more.
            advice = advice_on_files(error)
            if advice is None:
                raise
            _say_error(advice)
            ctx.exit(EXIT_FAILED)


def _say_error(message: str) -> None:
    terminal = plain_console(stderr=True)
    terminal.print(f"[bold red]error[/bold red] {escape(message)}", highlight=False, soft_wrap=True)


_set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key of the domain file for this time, dotted; may be repeated.",
)
_demo_option = click.option(
    "--demo", is_flag=True, help="Apply the domain file's `demo` settings: done within minutes."
)


@click.group(
    cls=_Commands, help=_START, epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="westwork")
def main() -> None:
    """The console script."""


@main.command(
    epilog="""\b
Examples:
  westwork run --domain movielens
  westwork run --domain retail --demo
  westwork run --set retrieval.epochs=3 --set evaluation.max_regression=0.05
  westwork run --domain ./mine --root /data/runs/mine
  westwork run --source ~/Downloads/ml-100k.zip

Steps whose inputs and settings have not changed are reused, also after a run that was killed: run the same
command again. One root takes one run at a time.

"""
    + _EXIT_CODES
)
@domain_option
@root_option
@_set_option
@_demo_option
@click.option("--source", metavar="PATH|URL", help="The publisher's own archive of the data set.")
@click.option("--no-cache", is_flag=True, help="Run every step, changed or not.")
@click.pass_context
def run(
    ctx: click.Context,
    domain: str,
    root: Path | None,
    overrides: tuple[str, ...],
    demo: bool,
    source: str | None,
    no_cache: bool,
) -> None:
    """Run the pipeline: data, validation, training, evaluation and, if blessed, the push."""
    from pipeline.domain import load_domain
    from pipeline.run_command import RunRequest, run_pipeline
    from pipeline.run_root import RunRoot

    if demo:
        # What the user sets comes last, and so holds.
        overrides = (*load_domain(domain).demo_overrides, *overrides)
    loaded = load_domain(domain, overrides)
    places = RunRoot.of(root, loaded.name)
    request = RunRequest(domain, overrides, source, use_cache=not no_cache)
    ask = _recommend_command(domain, root)
    try:
        result = run_pipeline(console(), loaded, places, request, [*ask, "--example"])
    except KeyboardInterrupt:
        _say_error("interrupted. Run the same command again to go on: finished steps are reused.")
        ctx.exit(EXIT_INTERRUPTED)
    if result.failure:
        _say_error(result.failure)
        ctx.exit(EXIT_FAILED)
    if not result.blessed:
        ctx.exit(EXIT_NOT_BLESSED)


@main.command(
    epilog="""\b
Examples:
  westwork validate --domain ./mine
  westwork validate --domain ./mine --data ~/exports --set max_bad_fraction=0.01
  westwork validate --domain movielens --json | jq .findings

Every row is read once and judged as `run` would; nothing is trained. Exit code 1 where a run would stop,
else 0: warnings and suggestions do not fail.
"""
)
@domain_option
@root_option
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Directory of the data.  [default: data, in the root]",
)
@_set_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")
@click.pass_context
def validate(
    ctx: click.Context,
    domain: str,
    root: Path | None,
    data: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Check a domain and its data without training."""
    from pipeline.check_data.command import validate_domain
    from pipeline.check_data.view import print_report

    report = validate_domain(domain, root, data, overrides, plain_console(stderr=True))
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        print_report(console(), report)
    if not report.ok:
        ctx.exit(EXIT_FAILED)


@main.command(
    epilog="""\b
Examples:
  westwork tune --domain movielens --trials 30
  westwork tune --domain retail --demo --minutes 60
  westwork tune --domain ./mine --apply
  westwork tune --domain ./mine --write tuned.yaml --set 'tune.ranges={retrieval.dim: [32, 64, 128]}'

Trains the retrieval model once a trial, on the train split, and ranks the trials by recall@100 on the eval
split; the test split is not read. Trial 1 is the domain as it stands. What is tried is the `tune` section of
the domain file. Trials that are far behind are stopped early.

A search that was interrupted goes on where it stopped: run the same command again. With more --trials, it
goes further.
"""
)
@domain_option
@root_option
@click.option(
    "--trials", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="How many, in all."
)
@click.option(
    "--minutes", type=FiniteRange(min=0, min_open=True, max=1_000_000), help="Begin no trial after so long."
)
@_set_option
@_demo_option
@click.option("--apply", "apply_it", is_flag=True, help="Write the best settings into the domain file.")
@click.option(
    "--write",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a copy of the domain file with the best settings.",
)
@click.pass_context
def tune(
    ctx: click.Context,
    domain: str,
    root: Path | None,
    trials: int,
    minutes: float | None,
    overrides: tuple[str, ...],
    demo: bool,
    apply_it: bool,
    write: Path | None,
) -> None:
    """Search for better settings of the retrieval model."""
    if apply_it and write:
        raise click.UsageError("expected either --apply or --write FILE")
    from pipeline.domain import DOMAIN_FILE, load_domain
    from pipeline.run_root import RunRoot
    from pipeline.tune.command import TuneRequest, tune_domain

    command = ["westwork", "tune", "--domain", domain, *(["--root", str(root)] if root else [])]
    command += ["--trials", str(trials), *(["--demo"] if demo else [])]
    command += [word for override in overrides for word in ("--set", override)]
    if demo:
        overrides = (*load_domain(domain).demo_overrides, *overrides)
    loaded = load_domain(domain, overrides)
    target = loaded.folder / DOMAIN_FILE if apply_it else write
    request = TuneRequest(domain, overrides, trials, minutes, target)
    try:
        tune_domain(console(), loaded, RunRoot.of(root, loaded.name), request, command)
    except KeyboardInterrupt:
        _say_error("interrupted. Run the same command again to go on: finished trials are kept.")
        ctx.exit(EXIT_INTERRUPTED)


@main.command(
    epilog="""\b
Examples:
  westwork recommend --user 42
  westwork recommend --user 42 --k 20 --exclude-seen
  westwork recommend --user 42 --at 2024-05-31T18:00 --context device=phone
  westwork recommend --user 42 --filter genres=Comedy --filter genres=Crime --filter year=1990..
  westwork recommend --example --json
  westwork recommend --user 42 --target localhost:8500

With --target a server answers: `westwork serve`, or any TensorFlow Serving. The user's history and the titles
still come from the root.

A user the data do not know gets recommendations from the request's context alone.
"""
)
@domain_option
@root_option
@click.option("--user", metavar="ID", help="Whom to recommend to.")
@click.option("--example", is_flag=True, help="Take a user with a history of middling length.")
@click.option("--k", type=click.IntRange(1, 100_000), default=10, show_default=True, help="How many.")
@click.option(
    "--exclude-seen/--keep-seen",
    default=None,
    help="Leave out what the user has interacted with.  [default: unless the domain's evaluation.repeats]",
)
@click.option(
    "--at",
    "moment",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
    help="When the request is made, UTC; it knows nothing of that second or later.  [default: the log's end]",
)
@click.option(
    "--context",
    multiple=True,
    metavar="NAME=VALUE",
    help="A context feature of the request, as the log says it; may be repeated.  [default: missing]",
)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="FEATURE=VALUE|LEAST..GREATEST",
    help="Only candidates of this value, or between these, both included; may be repeated: any of one "
    "feature's values will do. `assemble.filters` says by which features.",
)
@click.option(
    "--diversity",
    type=FiniteRange(min=0, max=1, max_open=True),
    default=0.0,
    show_default=True,
    help="How much it counts that they differ from each other; 0: not at all.",
)
@click.option("--target", metavar="HOST:PORT", help="Ask this server, over gRPC.  [default: no server]")
@click.option("--name", default="recommender", show_default=True, help="The model's name on the server.")
@click.option(
    "--tls-ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file of the authority that signed the server's certificate: use TLS.  [default: no TLS]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")
def recommend(
    domain: str,
    root: Path | None,
    user: str | None,
    example: bool,
    k: int,
    exclude_seen: bool | None,
    moment: datetime | None,
    context: tuple[str, ...],
    filters: tuple[str, ...],
    diversity: float,
    target: str | None,
    name: str,
    tls_ca: Path | None,
    as_json: bool,
) -> None:
    """Ask the newest pushed model, or a server, for recommendations."""
    if (user is None) != example:
        raise click.UsageError("expected either --user ID or --example")
    for setting in context:
        if "=" not in setting:
            raise click.UsageError(f"--context {setting}: expected NAME=VALUE")
    features = dict(setting.split("=", 1) for setting in context)
    from pipeline.domain import load_domain
    from pipeline.quiet import output_into
    from pipeline.run_process import environment
    from pipeline.run_root import RunRoot
    from pipeline.summary import newest_version_or_refuse

    loaded = load_domain(domain)
    places = RunRoot.of(root, loaded.name)
    version = newest_version_or_refuse(places.serving)
    if exclude_seen is None:
        exclude_seen = not loaded.evaluation.repeats
    os.environ.update(environment())
    with output_into(places.logs / "recommend.log"):
        from pipeline.answer_view import print_answer
        from pipeline.recommend import Model, load, on_server, recommend
        from serving.model_files import ModelFiles

        at = None if moment is None else int(moment.replace(tzinfo=UTC).timestamp())
        model: Model = on_server(target, name, tls_ca) if target else load(version)
        files = ModelFiles(version)
        answer = recommend(model, files, places.data, user, k, exclude_seen, at, features, filters, diversity)
    if as_json:
        click.echo(json.dumps(answer.as_json(), ensure_ascii=False, indent=2))
        return
    ask = _recommend_command(domain, root)
    if target:
        ask += ["--target", target, "--name", name, *(["--tls-ca", str(tls_ca)] if tls_ca else [])]
    print_answer(console(), answer, k, ask)


@main.command(epilog="`run` writes it too; the path is <root>/report.html.")
@domain_option
@root_option
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser, too.")
def report(domain: str, root: Path | None, open_it: bool) -> None:
    """Write the last run's report, one offline HTML page, and print its path."""
    from pipeline.domain import load_domain
    from pipeline.quiet import output_into
    from pipeline.run_process import environment
    from pipeline.run_root import RunRoot

    declared = load_domain(domain)
    places = RunRoot.of(root, declared.name)
    if not places.metadata.is_file():
        raise UserError(
            f"there is no run in {places.path} to report on. Run `westwork run` first, or name its --root."
        )
    os.environ.update(environment())
    with output_into(places.logs / "report.log"):
        from pipeline.report import write_report

        path = write_report(places.path, declared)
    click.echo(path)
    if open_it:
        click.launch(path.absolute().as_uri())


@main.command(
    name="init",
    epilog="""\b
Examples:
  westwork init events.csv items.csv users.csv --to mine
  westwork init /data/shop --to mine --name "Our shop"
  westwork init logs/2024-*.parquet catalogue.jsonl.gz --to mine
  westwork init orders.xlsx --to mine --user "Customer ID" --item StockCode
  westwork init events.csv --to mine --catalogue none

CSV, Parquet, JSON Lines, JSON arrays and spreadsheets, each perhaps compressed. Of large files only parts are
looked at. The domain refers to the files where they are. What --user, --item, --time, --catalogue and --users
name is taken as it is; what they leave open is decided by evidence, which the output and domain.yaml show.
""",
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for the domain file and its two schemas.",
)
@click.option("--name", help="What people call the data set.  [default: the folder's name]")
@click.option("--force", is_flag=True, help="Replace a domain that is there already.")
@click.option("--user", metavar="COLUMN", help="The event log's column of who.  [default: by evidence]")
@click.option("--item", metavar="COLUMN", help="The event log's column of what.  [default: by evidence]")
@click.option("--time", metavar="COLUMN", help="The event log's column of when.  [default: by evidence]")
@click.option(
    "--catalogue",
    metavar="TABLE",
    help="The file of items; none: the log's own columns.  [default: by joins]",
)
@click.option("--users", metavar="TABLE", help="The file of users; none: none.  [default: by joins]")
def init_command(
    files: tuple[Path, ...], folder: Path, name: str | None, force: bool, **chosen: str | None
) -> None:
    """Look at raw files or folders and propose a domain for them."""
    from pipeline.propose.chosen import Chosen
    from pipeline.propose.command import init_domain

    init_domain(console(), files, folder, name, force, Chosen(**chosen))


@main.command(epilog="Exit code 1 if any line is not ok.")
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder whose disk is looked at.",
)
@click.pass_context
def doctor(ctx: click.Context, root: Path) -> None:
    """Check that this machine and environment can run Westwork."""
    from pipeline.doctor import Finding, all_ok, examine

    terminal = console()

    def tell(finding: Finding) -> None:
        verdict = "[green]ok[/green]    " if finding.ok else "[bold red]not ok[/bold red]"
        terminal.print(
            f"{finding.subject:<12} {verdict} {escape(finding.detail)}", highlight=False, soft_wrap=True
        )

    if not all_ok(examine(root), tell):
        ctx.exit(EXIT_FAILED)


main.add_command(serve)
main.add_command(export)
main.add_command(inspect)


def _recommend_command(domain: str, root: Path | None) -> list[str]:
    """The command that asks the model of a run, up to the user."""
    return ["westwork", "recommend", "--domain", domain, *(["--root", str(root)] if root else [])]


if __name__ == "__main__":
    sys.exit(main())
