"""The Evaluator nodes: TFX' Evaluator on the served signatures, with a baseline that may be absent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from tensorflow_model_analysis.proto import config_pb2
from tfx import types
from tfx.components.evaluator import executor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ExecutionParameter
from tfx.utils import json_utils, path_utils, proto_utils

from components.evaluate.baseline import has_model
from components.evaluate.config import EvaluationConfig
from components.evaluate.eval_config import eval_config, questions, with_baselines
from components.evaluate.sample import Sample
from components.ingest.declaration import Declaration
from components.ranking.heads import Head

SAMPLE_KEY = "sample"
"""Execution parameter: a :class:`Sample`, as JSON."""
BASELINES_KEY = "baselines"
"""Input: the trained baselines; none where all are turned off. Not ``baseline_model``, the pushed one."""


class Executor(executor.Executor):
    """TFX' executor on a sample of the split; a baseline artifact without a model counts as no baseline.

    TFX then drops the thresholds on change: the first model only has to keep the absolute bounds. Where the
    trained baselines are is told to the extractors by way of the EvalConfig.
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
        if BASELINES_KEY in input_dict:
            folder = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict[BASELINES_KEY]))
            exec_properties = _told(exec_properties, folder)
            input_dict = {name: found for name, found in input_dict.items() if name != BASELINES_KEY}
        key = standard_component_specs.EXAMPLES_KEY
        (split,) = json_utils.loads(exec_properties[standard_component_specs.EXAMPLE_SPLITS_KEY])
        examples = artifact_utils.get_single_instance(input_dict[key])
        drawn = Sample.model_validate_json(exec_properties[SAMPLE_KEY]).draw(
            examples, split, os.path.join(self._get_tmp_dir(), SAMPLE_KEY)
        )
        super().Do({**input_dict, key: [drawn]}, output_dict, exec_properties)


def _told(exec_properties: dict[str, Any], folder: str) -> dict[str, Any]:
    """The properties with the baselines' folder in the EvalConfig."""
    config = config_pb2.EvalConfig()
    proto_utils.json_to_proto(exec_properties[standard_component_specs.EVAL_CONFIG_KEY], config)
    told = proto_utils.proto_to_json(with_baselines(config, folder))
    return {**exec_properties, standard_component_specs.EVAL_CONFIG_KEY: told}


class EvaluatorSpec(standard_component_specs.EvaluatorSpec):
    """Interface of TFX' Evaluator, with the sample and the trained baselines."""

    INPUTS = {
        **standard_component_specs.EvaluatorSpec.INPUTS,
        BASELINES_KEY: ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    PARAMETERS = {
        **standard_component_specs.EvaluatorSpec.PARAMETERS,
        SAMPLE_KEY: ExecutionParameter(type=str),
    }


class Evaluator(base_beam_component.BaseBeamComponent):
    """TFX' Evaluator with this room's executor and extractors."""

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        *,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        schema: types.BaseChannel,
        split: str,
        eval_config: config_pb2.EvalConfig,
        sample: Sample,
        baselines: types.BaseChannel | None,
        baseline: types.BaseChannel | None = None,
    ):
        """Creates the node.

        Args:
            examples: interactions.
            model: the Assembler's output.
            schema: of the interactions.
            split: what to evaluate on.
            eval_config: what to measure.
            sample: how much of the split.
            baselines: the BaselineTrainer's output; None where all are turned off.
            baseline: the BaselineResolver's output; may hold no model.

        Raises:
            ValueError: If there are trained baselines that are not asked, or the other way round.
        """
        asked = questions(eval_config).trained
        if bool(asked) != (baselines is not None):
            raise ValueError(
                f"the EvalConfig asks {', '.join(asked) or 'no trained baseline'}, and 'baselines' is "
                f"{'given' if baselines else 'None'}; expected both or neither"
            )
        super().__init__(
            spec=EvaluatorSpec(
                examples=examples,
                model=model,
                baseline_model=baseline,
                baselines=baselines,
                schema=schema,
                example_splits=json_utils.dumps([split]),
                eval_config=eval_config,
                module_path="components.evaluate.extractors",
                sample=sample.model_dump_json(),
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
            )
        )


def evaluator(
    examples: types.BaseChannel,
    model: types.BaseChannel,
    baseline: types.BaseChannel,
    baselines: types.BaseChannel | None,
    schema: types.BaseChannel,
    declaration: Declaration,
    heads: Sequence[Head],
    config: EvaluationConfig,
) -> Evaluator:
    """Returns the node ``Evaluator``: measures on the split ``eval``, and blesses.

    Args:
        examples: interactions.
        model: the Assembler's output.
        baseline: the BaselineResolver's output; may hold no model.
        baselines: the BaselineTrainer's output; None where the config turns all off.
        schema: of the interactions.
        declaration: names the columns.
        heads: of the ranker.
        config: what to measure, and the bounds.
    """
    return Evaluator(
        examples=examples,
        model=model,
        baseline=baseline,
        baselines=baselines,
        schema=schema,
        split="eval",
        eval_config=eval_config(declaration, heads, config),
        sample=Sample.of(declaration, config),
    )


def reporting_evaluator(
    examples: types.BaseChannel,
    model: types.BaseChannel,
    baselines: types.BaseChannel | None,
    schema: types.BaseChannel,
    declaration: Declaration,
    heads: Sequence[Head],
    config: EvaluationConfig,
) -> Evaluator:
    """Returns the node ``TestEvaluator``: measures on the split ``test``; blesses nothing.

    Args:
        examples: interactions.
        model: the Assembler's output.
        baselines: the BaselineTrainer's output; None where the config turns all off.
        schema: of the interactions.
        declaration: names the columns.
        heads: of the ranker.
        config: what to measure.
    """
    return Evaluator(
        examples=examples,
        model=model,
        baselines=baselines,
        schema=schema,
        split="test",
        eval_config=eval_config(declaration, heads, config, gate=False),
        sample=Sample.of(declaration, config),
    ).with_id("TestEvaluator")
