"""The command ``inspect``: what a SavedModel answers, is made of, and can be served by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.assemble.config import AssembleConfig
from components.assemble.index_report import IndexReport, read_index_report, read_settings
from components.assemble.op_census import SAVED_MODEL_FILE, Census, read_meta_graph, take_census
from components.assemble.tuning import Tuning
from components.ingest.errors import UserError
from components.ingest.strict import Strict
from components.validate_serving.target import SERVERS, missing_ops
from pipeline.summary import newest_version
from serving.tensors import Spec, signatures_of

_MEGABYTE = 1 << 20


class TensorFacts(Strict):
    """An input or output of a signature."""

    dtype: str
    shape: tuple[int | None, ...] | None
    """None in a place: any size; None in all: any shape."""


class SignatureFacts(Strict):
    """What a signature takes and gives, by name."""

    inputs: dict[str, TensorFacts]
    outputs: dict[str, TensorFacts]


class Server(Strict):
    """A kind of server, and whether it can load the model."""

    name: str
    loads: bool
    why: str


class ModelFacts(Strict):
    """All that ``inspect`` says."""

    path: str
    bytes: int
    """Of all its files."""
    signatures: dict[str, SignatureFacts]
    index: IndexReport | None
    """None where the model is not the Assembler's; so is ``assemble``."""
    assemble: AssembleConfig | None
    census: Census
    servers: tuple[Server, ...]


def inspect_model(given: Path) -> ModelFacts:
    """Look at a SavedModel; its graph is read, not loaded, so no op of it has to be known here.

    Args:
        given: Its directory, or a serving directory, for the newest version in it.

    Raises:
        UserError: If there is no SavedModel, or it is damaged.
    """
    path = given if (given / SAVED_MODEL_FILE).is_file() else newest_version(given)
    if path is None:
        raise UserError(
            f"{given} is no SavedModel. Expected a directory with {SAVED_MODEL_FILE}, such as "
            "runs/<domain>/serving/<version>, or a serving directory with such versions."
        )
    graph = read_meta_graph(str(path))
    census = take_census(graph)
    return ModelFacts(
        path=str(path),
        bytes=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        signatures={
            name: SignatureFacts(inputs=_facts(signature.inputs), outputs=_facts(signature.outputs))
            for name, signature in sorted(signatures_of(graph.signature_def).items())
        },
        index=read_index_report(str(path)),
        assemble=read_settings(str(path)),
        census=census,
        servers=_servers(census),
    )


def print_model(console: Console, facts: ModelFacts) -> None:
    """Show the facts on a terminal."""

    def line(name: str, said: str) -> None:
        console.print(f"[bold]{name:<10}[/bold] {escape(said)}", highlight=False, soft_wrap=True)

    line("model", f"{facts.path}, {facts.bytes / _MEGABYTE:,.1f} MB, TensorFlow {facts.census.tensorflow}")
    for names, signature in _grouped(facts.signatures):
        console.print()
        console.print(_signature_table(names, signature))
    console.print()
    line("index", facts.index.in_words() if facts.index else "not known: no model of the Assembler")
    if facts.index and facts.index.tuning:
        console.print(_curve_table(facts.index.tuning))
        console.print()
    if facts.assemble:
        line("recommend", facts.assemble.cascade_in_words())
    ops = facts.census.ops
    line("ops", f"{len(ops):,} kinds, {sum(ops.values()):,} nodes")
    custom = ", ".join(f"{op} ({count:,})" for op, count in facts.census.custom.items())
    line("not stock", custom or "none")
    for server in facts.servers:
        verdict = "[green]loads it[/green]" if server.loads else "[bold red]cannot load it[/bold red]"
        console.print(f"[bold]{server.name}[/bold] {verdict}: {escape(server.why)}", soft_wrap=True)


def _facts(specs: Mapping[str, Spec]) -> dict[str, TensorFacts]:
    return {name: TensorFacts(dtype=spec.dtype.name, shape=spec.shape) for name, spec in specs.items()}


def _servers(census: Census) -> tuple[Server, ...]:
    """Which servers have all the ops; the version of TensorFlow is a matter of the image's tag."""
    minor = ".".join(census.tensorflow.split(".")[:2])
    enough = {
        "tensorflow_serving": f"stock ops only; take an image of {minor} or later",
        "tensorflow_serving_scann": f"take a build of {minor} or later; the last image published is of 2.11",
        "westwork": "it has TensorFlow's ops and ScaNN's",
    }
    remedy = ". `westwork export --index ivf` makes a model that needs none of ScaNN's"
    servers = []
    for target, name in SERVERS.items():
        missing = missing_ops(census, target)
        lacks = f"it has no {', '.join(missing)}{remedy if census.loads_with_scann else ''}"
        servers.append(Server(name=name, loads=not missing, why=lacks if missing else enough[target]))
    return tuple(servers)


def _table(title: str, *headers: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, title=escape(title), title_justify="left", title_style="bold", show_edge=False
    )
    for header in headers:
        table.add_column(header, no_wrap=True)
    return table


def _grouped(signatures: dict[str, SignatureFacts]) -> list[tuple[str, SignatureFacts]]:
    """Signatures that take and give the same, such as the default one and another, under all their names."""
    names: dict[str, list[str]] = {}
    for name, signature in signatures.items():
        names.setdefault(signature.model_dump_json(), []).append(name)
    return [(", ".join(alike), signatures[alike[0]]) for alike in names.values()]


def _signature_table(name: str, signature: SignatureFacts) -> Table:
    table = _table(name, "", "name", "dtype", "shape")
    for role, tensors in (("in", signature.inputs), ("out", signature.outputs)):
        for number, (key, tensor) in enumerate(tensors.items()):
            sizes = None if tensor.shape is None else ["any" if n is None else str(n) for n in tensor.shape]
            shape = "any" if sizes is None else f"[{', '.join(sizes)}]"
            table.add_row("" if number else role, escape(key), tensor.dtype, escape(shape))
    return table


def _curve_table(tuning: Tuning) -> Table:
    title = f"Recall of the exact {tuning.k} best by leaves searched, of {tuning.leaves:,}"
    table = _table(title, "leaves", "candidates visited", "scored anew", "recall", "ms a query", "")
    for point in tuning.curve:
        table.add_row(
            f"{point.leaves:,}",
            f"{point.visited:.2%}",
            f"{point.reorder * tuning.k:,}" if point.reorder > 1 else "",
            f"{point.recall:.4f}",
            f"{point.milliseconds:.2f}",
            "searched" if point == tuning.chosen else "",
        )
    table.add_row("exact", "100.00%", "", "1.0000", f"{tuning.exact_milliseconds:.2f}", "")
    return table
