"""Where the boxes of a lineage's drawing go: steps in layers, what they read above them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from pipeline.report.lineage import Execution, Record, read_fingerprints

_WIDTH, _HEIGHT = 104, 40
_GAP_X, _GAP_Y = 12, 30
_SWEEPS = 4


@dataclasses.dataclass(frozen=True)
class Box:
    """A step, or a table of raw data, in SVG units.

    Attributes:
        x: Left edge.
        y: Upper edge.
        lines: Its name, broken to fit.
        kind: The step's state in the last run, or ``table``.
        anchor: Id of the step's row in the table; empty for raw data.
    """

    x: float
    y: float
    lines: tuple[str, ...]
    kind: str
    anchor: str


@dataclasses.dataclass(frozen=True)
class Diagram:
    """A drawing.

    Attributes:
        width: Of the drawing.
        height: Of the drawing.
        box_width: Of every box.
        box_height: Of every box.
        boxes: The nodes.
        paths: The edges, as SVG path data.
    """

    width: float
    height: float
    box_width: float
    box_height: float
    boxes: tuple[Box, ...]
    paths: tuple[str, ...]


def draw(record: Record, lineage: Sequence[Execution]) -> Diagram:
    """Lays a lineage out from the raw data at the top to the model at the bottom.

    Only direct dependencies are drawn: what follows from others is left out, so that few lines cross.

    Args:
        record: The run the lineage is of.
        lineage: Executions, oldest first.
    """
    parents = _dependencies(record, lineage)
    layers = _layers(_without_detours(parents), [*parents])
    steps = {f"#{execution.id}": execution for execution in lineage}
    places: dict[str, tuple[float, float]] = {}
    widest = max((len(layer) for layer in layers), default=0)
    for depth, layer in enumerate(layers):
        indent = (widest - len(layer)) / 2
        for place, node in enumerate(layer):
            places[node] = (2 + (indent + place) * (_WIDTH + _GAP_X), 2 + depth * (_HEIGHT + _GAP_Y))
    boxes = [
        Box(x, y, _broken(steps[node].step), state(record, steps[node]), f"execution-{steps[node].id}")
        if node in steps
        else Box(x, y, _broken(node), "table", "")
        for node, (x, y) in places.items()
    ]
    paths = [
        _path(places[parent], places[node])
        for node, above in _without_detours(parents).items()
        for parent in above
    ]
    return Diagram(
        width=widest * (_WIDTH + _GAP_X) - _GAP_X + 4,
        height=len(layers) * (_HEIGHT + _GAP_Y) - _GAP_Y + 4,
        box_width=_WIDTH,
        box_height=_HEIGHT,
        boxes=tuple(boxes),
        paths=tuple(paths),
    )


def state(record: Record, execution: Execution) -> str:
    """What became of an execution as the last run sees it: ``reused`` where that run took its outputs."""
    last = record.steps.get(execution.step)
    if last is None or last.id == execution.id:
        return execution.state
    return "reused" if last.state == "reused" else execution.state


def _dependencies(record: Record, lineage: Sequence[Execution]) -> dict[str, list[str]]:
    """Node to what it depends on; raw tables come first, then the executions in order."""
    tables: dict[str, list[str]] = {}
    steps: dict[str, list[str]] = {}
    for execution in lineage:
        read = [fingerprint.table for fingerprint in read_fingerprints(execution)]
        tables |= {table: [] for table in read}
        makers = [record.origin(artifact) for _, artifact in execution.inputs]
        above = [f"#{maker.id}" for maker in makers if maker is not None]
        steps[f"#{execution.id}"] = list(dict.fromkeys([*read, *above]))
    return tables | steps


def _without_detours(parents: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The transitive reduction: no edge to what another parent already depends on."""
    ancestors: dict[str, set[str]] = {}
    for node, above in parents.items():
        ancestors[node] = set(above).union(*(ancestors[parent] for parent in above))
    return {
        node: [p for p in above if not any(p in ancestors[other] for other in above if other != p)]
        for node, above in parents.items()
    }


def _layers(parents: Mapping[str, Sequence[str]], order: Sequence[str]) -> list[list[str]]:
    """Nodes by depth; each as deep as what depends on it allows, ordered so that lines are short.

    Args:
        parents: Node to what it depends on.
        order: All nodes, every one after its parents.
    """
    children: dict[str, list[str]] = {node: [] for node in order}
    for node, above in parents.items():
        for parent in above:
            children[parent].append(node)
    depth: dict[str, int] = {}
    for node in order:
        depth[node] = max((depth[parent] + 1 for parent in parents[node]), default=0)
    for node in reversed(order):
        depth[node] = min((depth[child] - 1 for child in children[node]), default=depth[node])
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in order:
        layers[depth[node]].append(node)
    for _ in range(_SWEEPS):
        for upper, lower in pairwise(layers):
            _arrange(lower, upper, parents)
        for upper, lower in pairwise(layers[::-1]):
            _arrange(lower, upper, children)
    return layers


def _arrange(layer: list[str], beside: Sequence[str], neighbours: Mapping[str, Sequence[str]]) -> None:
    """Sorts a layer by the middle of each node's neighbours in the layer beside it."""
    centres = {node: place - len(beside) / 2 for place, node in enumerate(beside)}
    own = {node: place - len(layer) / 2 for place, node in enumerate(layer)}

    def middle(node: str) -> float:
        near = [centres[n] for n in neighbours[node] if n in centres]
        return sum(near) / len(near) if near else own[node]

    layer.sort(key=middle)


def _broken(name: str) -> tuple[str, ...]:
    """A CamelCase name on two lines at most, cut where it is too long."""
    words = re.findall(r"[A-Z]?[^A-Z]+|[A-Z]+", name) or [name]
    lines = [name] if len(name) <= 13 else [words[0], "".join(words[1:])]
    return tuple(line if len(line) <= 14 else line[:13] + "…" for line in lines if line)


def _path(above: tuple[float, float], below: tuple[float, float]) -> str:
    x1, y1 = above[0] + _WIDTH / 2, above[1] + _HEIGHT
    x2, y2 = below[0] + _WIDTH / 2, below[1]
    bend = (y1 + y2) / 2
    return f"M{x1:g} {y1:g}C{x1:g} {bend:g} {x2:g} {bend:g} {x2:g} {y2:g}"
