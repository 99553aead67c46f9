"""What ``westwork validate`` does: the data had, everything looked at, the terminal kept quiet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from components.ingest.errors import UserError
from pipeline.acquire import acquire
from pipeline.check_data.report import Finding, Report
from pipeline.cli_options import plain_console
from pipeline.domain import Domain, load_domain
from pipeline.quiet import output_into
from pipeline.run_process import environment
from pipeline.run_root import RunRoot

LOG = "validate.log"
"""Name of the log, where a root with logs exists already; libraries write into it, if anything."""


def validate_domain(
    name: str, root: Path | None, data: Path | None, overrides: Sequence[str], progress: Console
) -> Report:
    """Loads a domain, sees that its data is there, and looks at both.

    Args:
        name: A domain, or its folder's path.
        root: The run's root; None for the domain's own.
        data: Directory of the data, in place of the root's; nothing is fetched then.
        overrides: ``key=value`` settings.
        progress: Where to say what is being done.

    Raises:
        UserError: If public data cannot be had. What is wrong with the domain file is a finding.
    """
    try:
        domain = load_domain(name, overrides)
    except UserError as error:
        finding = Finding(level="error", about="domain.yaml", message=str(error))
        return Report(title=name, folder=name, data=str(data or ""), findings=(finding,))
    of_demo = list(_demo_findings(name, domain))
    places = RunRoot.of(root, domain.name)
    if data is None:
        _acquire(domain, places, progress)
    os.environ.update(environment())
    with _own_stderr(progress) as console, console.status("") as status, output_into(places.logs / LOG):
        from pipeline.check_data.check import check_data

        report = check_data(domain, str(data or places.data), lambda doing: status.update(f"{doing} …"))
    return report.model_copy(update={"findings": (*of_demo, *report.findings)})


def _demo_findings(name: str, domain: Domain) -> Iterator[Finding]:
    """What keeps ``westwork run --demo`` from starting."""
    try:
        load_domain(name, domain.demo_overrides)
    except UserError as error:
        yield Finding(level="error", about="demo", message=str(error))


def _acquire(domain: Domain, places: RunRoot, progress: Console) -> None:
    """Fetches public data as a run does, unless tables are there, whatever source they are from."""
    if domain.acquire is None or all((places.data / name).is_file() for name in domain.acquire.tables):
        return
    places.prepare()
    acquire(
        domain.acquire,
        places.data,
        None,
        lambda line: progress.print(line, markup=False, highlight=False, soft_wrap=True),
    )


@contextmanager
def _own_stderr(progress: Console) -> Iterator[Console]:
    """A console on what is stderr now, that stays there while the process's own is sent elsewhere."""
    with os.fdopen(os.dup(2), "w", encoding="utf-8") as file:
        yield plain_console(file=file, force_terminal=progress.is_terminal, quiet=not progress.is_terminal)
