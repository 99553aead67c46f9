"""Which servers have the ops that a model is made of."""

from __future__ import annotations

from collections.abc import Mapping

from components.assemble.op_census import Census
from components.validate_serving.config import Target

SERVERS: Mapping[Target, str] = {
    "tensorflow_serving": "tensorflow/serving",
    "tensorflow_serving_scann": "TensorFlow Serving built with ScaNN",
    "westwork": "westwork serve",
}
"""Every target by what people call it."""


def missing_ops(census: Census, target: Target) -> tuple[str, ...]:
    """The model's ops that a target does not have; whether its TensorFlow is new enough, its tag says."""
    return tuple(census.custom) if target == "tensorflow_serving" else census.neither_stock_nor_scann


def why_not_loaded(census: Census, target: Target) -> str | None:
    """Why a target cannot load a model, and which setting to change; None where it can."""
    missing = missing_ops(census, target)
    if not missing:
        return None
    remedy = (
        "Set assemble.index to ivf, which is made of stock ops, or serving.target to a server that has "
        "ScaNN's; what is trained is reused."
        if census.loads_with_scann
        else "Express the model in stock ops."
    )
    return (
        f"serving.target {target} ({SERVERS[target]}) cannot load the model: it has no "
        f"{', '.join(missing)}. {remedy}"
    )
