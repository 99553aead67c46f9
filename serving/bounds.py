"""What a request will take, told before it runs: the size of its answer, and the parts it is run in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from serving.contract import CANDIDATE_IDS, K
from serving.errors import invalid
from serving.joining import Arrays, split
from serving.tensors import Signature

MOST_ROWS = 256
"""Rows of a part: enough for large products on two cores, done within some tens of milliseconds."""
_MOST_SCORES = 1 << 26
"""Scores of a part, where each of its queries may have one for each candidate: 256 MB of float32."""
_LEAST_VALUE_BYTES = 4
"""Of a float32, or of a string with its length and tag, on the wire."""


def check_answer(
    signature: Signature, inputs: Arrays, outputs: Sequence[str], rows: int, candidates: int, most: int
) -> None:
    """Refuses what would be computed and then not sent.

    Args:
        signature: Which is asked, of a model of Westwork's.
        inputs: The request's.
        outputs: Which are wanted.
        rows: How many queries it is for.
        candidates: Of the model's catalogue.
        most: Bytes of an answer.

    Raises:
        RequestError: INVALID_ARGUMENT, where even its shortest answer is larger.
    """
    values = rows * sum(_width(signature, inputs, name, candidates) for name in outputs)
    if values * _LEAST_VALUE_BYTES > most:
        smaller = " or for a smaller k" if K in inputs else ""
        raise invalid(
            f"the answer to {rows:,} rows would have {values:,} values, of which {most:,} bytes hold at most "
            f"{most // _LEAST_VALUE_BYTES:,}: ask for fewer rows at once{smaller}, or name "
            "the outputs you need"
        )


def parts(signature: Signature, inputs: Arrays, rows: int, candidates: int) -> Iterator[tuple[Arrays, int]]:
    """A request's inputs in parts that are run one after the other, each with its number of rows.

    So a large one takes no more memory than one part does, and small ones that come meanwhile run in between.

    Args:
        signature: Which is asked; its answer to a row must not depend on the others.
        inputs: The request's; those with rows agree on them.
        rows: How many.
        candidates: Of the model's catalogue.
    """
    most = min(MOST_ROWS, max(1, _MOST_SCORES // max(1, candidates)))
    if rows <= most:
        yield inputs, rows
        return
    count = math.ceil(rows / most)
    # As even as can be: a last part of one row would take as long as ten.
    sizes = [rows // count + (number < rows % count) for number in range(count)]
    by_row = split({name: inputs[name] for name in signature.row_inputs}, sizes)
    for part, size in zip(by_row, sizes, strict=True):
        yield {**inputs, **part}, size


def _width(signature: Signature, inputs: Arrays, output: str, candidates: int) -> int:
    """Values an output has for a row."""
    sizes = (signature.outputs[output].shape or ())[1:]
    if K in inputs:
        places = min(max(int(inputs[K]), 0), candidates)
    else:
        places = inputs[CANDIDATE_IDS].shape[1] if CANDIDATE_IDS in inputs else 1
    return math.prod(places if size is None else size for size in sizes)
