"""The module TFX' Evaluator asks for its model loader and its extractors (``module_path``).

TFX reloads it at each look-up, so it holds these two functions only.
"""

from __future__ import annotations

import functools
from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.extractors import slice_key_extractor, unbatch_extractor
from tensorflow_model_analysis.proto import config_pb2

from components.evaluate.eval_config import questions
from components.evaluate.predictions import ServedPredictions
from components.evaluate.served import ServedModel


def custom_eval_shared_model(
    eval_saved_model_path: str, model_name: str, eval_config: config_pb2.EvalConfig, **_: Any
) -> tfma.types.EvalSharedModel:
    """Returns a model that each worker loads once, with the ops its index needs."""
    baseline = any(spec.is_baseline for spec in eval_config.model_specs if spec.name == model_name)
    return tfma.types.EvalSharedModel(
        model_path=eval_saved_model_path,
        model_name=model_name,
        model_type=tfma.TF_GENERIC,
        include_default_metrics=False,
        is_baseline=baseline,
        construct_fn=functools.partial(ServedModel, eval_saved_model_path, questions(eval_config).query_id),
    )


def custom_extractors(
    eval_shared_model: tfma.types.MaybeMultipleEvalSharedModels,
    eval_config: config_pb2.EvalConfig,
    tensor_adapter_config: Any,
) -> list[tfma.extractors.Extractor]:
    """Returns the steps from batches of examples to sliced predictions of the served signatures."""
    models = eval_shared_model if isinstance(eval_shared_model, list) else [eval_shared_model]
    asked = ServedPredictions(models, questions(eval_config))
    return [
        tfma.extractors.Extractor(stage_name="AskServedModel", ptransform=beam.ParDo(asked)),
        unbatch_extractor.UnbatchExtractor(),
        slice_key_extractor.SliceKeyExtractor(eval_config=eval_config, materialize=False),
    ]
