"""The Evaluator nodes: TFX' Evaluator on the served signatures, with a baseline that may be absent."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.components import Evaluator as TfxEvaluator
from tfx.components.evaluator import executor
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_component_specs

from components.evaluate.baseline import has_model
from components.evaluate.config import EvaluationConfig
from components.evaluate.eval_config import eval_config
from components.ingest.declaration import Declaration


class Executor(executor.Executor):
    """TFX' executor that takes a baseline artifact without a model for no baseline.

    TFX then drops the thresholds on change: the first model only has to keep the absolute bounds.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Evaluates, and blesses if all thresholds hold."""
        key = standard_component_specs.BASELINE_MODEL_KEY
        if key in input_dict and not any(has_model(artifact) for artifact in input_dict[key]):
            input_dict = {name: artifacts for name, artifacts in input_dict.items() if name != key}
        super().Do(input_dict, output_dict, exec_properties)


class Evaluator(TfxEvaluator):
    """TFX' Evaluator with this room's executor and extractors."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


def evaluator(
    examples: types.BaseChannel,
    model: types.BaseChannel,
    baseline: types.BaseChannel,
    schema: types.BaseChannel,
    declaration: Declaration,
    config: EvaluationConfig,
) -> Evaluator:
    """Returns the node ``Evaluator``: measures on the split ``eval``, and blesses.

    Args:
        examples: interactions.
        model: the Assembler's output.
        baseline: the BaselineResolver's output; may hold no model.
        schema: of the interactions.
        declaration: names the columns.
        config: the bounds.
    """
    return Evaluator(
        examples=examples,
        model=model,
        baseline_model=baseline,
        schema=schema,
        example_splits=["eval"],
        eval_config=eval_config(declaration, config),
        module_path="components.evaluate.extractors",
    )


def reporting_evaluator(
    examples: types.BaseChannel,
    model: types.BaseChannel,
    schema: types.BaseChannel,
    declaration: Declaration,
) -> Evaluator:
    """Returns the node ``TestEvaluator``: measures on the split ``test``; blesses nothing.

    Args:
        examples: interactions.
        model: the Assembler's output.
        schema: of the interactions.
        declaration: names the columns.
    """
    return Evaluator(
        examples=examples,
        model=model,
        schema=schema,
        example_splits=["test"],
        eval_config=eval_config(declaration),
        module_path="components.evaluate.extractors",
    ).with_id("TestEvaluator")
