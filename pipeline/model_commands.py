"""The commands about a finished model: ``export`` and ``inspect``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pipeline.cli_options import console, domain_option, root_option


@click.command(
    epilog="""\b
Examples:
  westwork export --index ivf --to serving-stock
  westwork export --index scann --set ann_recall=0.99 --to runs/movielens/serving
  westwork export --model /models/shop/1795260760 --index exact --to /models/shop-exact

Needs the model alone, not the run that made it, and trains no model again. In a directory that a server
watches, the new version is served as soon as it is whole.
"""
)
@domain_option
@root_option
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="The version to start from.  [default: the newest pushed one of the domain]",
)
@click.option(
    "--index", type=click.Choice(["scann", "ivf", "exact"]), required=True, help="The index to build."
)
@click.option(
    "--to",
    "base",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Serving directory; the model becomes a new version in it.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set another key of the domain file's assemble section; may be repeated.",
)
def export(
    domain: str, root: Path | None, model: Path | None, index: str, base: Path, settings: tuple[str, ...]
) -> None:
    """Write a trained model once more, with another index."""
    from pipeline.domain import load_domain, parse_setting
    from pipeline.quiet import output_into
    from pipeline.run_process import environment
    from pipeline.run_root import RunRoot
    from pipeline.summary import newest_version_or_refuse

    changes = dict(parse_setting(setting) for setting in settings) | {"index": index}
    log = Path(os.devnull)
    if model is None:
        places = RunRoot.of(root, load_domain(domain).name)
        model, log = newest_version_or_refuse(places.serving), places.logs / "export.log"
    os.environ.update(environment())
    with output_into(log):
        from pipeline.export import export_model, print_export

        version, report = export_model(model, base, changes)
    print_export(console(), version, report)


@click.command(
    epilog="""\b
Examples:
  westwork inspect runs/movielens/serving
  westwork inspect runs/movielens/serving/1795260760 --json | jq .census.custom

The graph is read, not loaded: any SavedModel can be looked at.
"""
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")
def inspect(model: Path, as_json: bool) -> None:
    """Show a model's signatures, index and ops, and which servers can load it.

    MODEL is a version's directory, or a serving directory, for the newest version in it.
    """
    from pipeline.quiet import output_into
    from pipeline.run_process import environment

    os.environ.update(environment())
    with output_into(Path(os.devnull)):
        from pipeline.inspect_model import inspect_model, print_model

        facts = inspect_model(model)
    if as_json:
        click.echo(facts.model_dump_json(indent=2))
        return
    print_model(console(), facts)
