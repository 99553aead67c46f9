"""Names of the served signatures' inputs, and which of a domain's columns can be such a name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from components.ingest.declaration import Declaration

K = "k"
EXCLUDE = "exclude"
DIVERSITY = "diversity"
CANDIDATE_IDS = "candidate_ids"

_FILTER = "filter_"
_INPUTS = (K, EXCLUDE, DIVERSITY, CANDIDATE_IDS)
_TRAINING = ("candidate_row", "negative_rows")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def filter_input(feature: str) -> str:
    """The name of the input that says which of a candidate feature's values a request takes."""
    return f"{_FILTER}{feature}"


def is_filter_input(name: str) -> bool:
    """Whether an input is one of those."""
    return name.lower().startswith(_FILTER)


def is_reserved(name: str) -> bool:
    """Whether the served model or its training needs a name for itself."""
    return name in _INPUTS + _TRAINING or is_filter_input(name)


def check_signature_names(declaration: Declaration) -> None:
    """Refuses columns that could not be inputs of the served model: found now, not after training.

    TensorFlow takes only such names for a SavedModel's inputs, and does not tell upper from lower case.

    Raises:
        ValueError: If a column has such a name. Names it and says how to rename it.
    """
    log = declaration.interactions
    _check([log.query_id, *declaration.query_features], "interactions", "sources' columns")
    _check([declaration.candidates.id, *declaration.candidates.features], "candidates", "candidates.columns")


def _check(names: Sequence[str], stream: str, key: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        remedy = f"Call it something else here, and say under {key} what it is called in the files"
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"column {name!r} cannot be an input of the served model: expected letters of the English "
                f"alphabet, digits, '_', '.' or '-'. {remedy}: {{{_suggestion(name)}: {name}}}"
            )
        if is_reserved(name):
            raise ValueError(f"column {name!r} has a name that the models need for themselves. {remedy}")
        if name.lower() in seen:
            raise ValueError(
                f"columns {seen[name.lower()]!r} and {name!r} of the {stream} differ in upper and lower case "
                f"only, which the served model's inputs cannot. {remedy}"
            )
        seen[name.lower()] = name


def _suggestion(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.-").lower() or "column"
