"""A TFX Trainer that also gets the catalogue, and its node for the retrieval model."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from tfx import v1 as tfx
from tfx.components.trainer import fn_args_utils
from tfx.components.trainer.executor import GenericExecutor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import artifact, artifact_utils, channel, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter
from tfx.utils import json_utils, path_utils

from components.ingest.declaration import CATALOGUE_SPLIT, Declaration
from components.retrieval.config import RetrievalConfig, TrainerConfig
from components.transform.interactions import DECLARATION_KEY

CONFIG_KEY = "config"
"""Key of the custom config under which a trainer finds its section of the domain file as JSON."""
CANDIDATES = "candidates"
CANDIDATE_GRAPH = "candidate_graph"
CANDIDATE_FILES_KEY = "candidate_files"
"""Key of the custom config: pattern of the transformed candidate files; filled in by the executor."""
CANDIDATE_GRAPH_KEY = "candidate_graph_path"
"""Key of the custom config: path of the candidates' transform graph; filled in by the executor."""

RETRIEVAL_MODEL = "retrieval_model"
RETRIEVAL_MODEL_KEY = "retrieval_model_path"
"""Key of the custom config: path of a trained retrieval model, where the trainer takes one; filled in by the
executor."""
RANKING_MODEL = "ranking_model"
RANKING_MODEL_KEY = "ranking_model_path"
"""The same of a trained ranking model."""
_MODELS = {RETRIEVAL_MODEL: RETRIEVAL_MODEL_KEY, RANKING_MODEL: RANKING_MODEL_KEY}

RESUME_DIR_KEY = "resume_dir"
"""Key of the custom config: where an unfinished training is kept; filled in by the executor."""


class CatalogueTrainerSpec(standard_component_specs.TrainerSpec):
    """TFX's Trainer with more inputs: the transformed catalogue, its transform graph, and perhaps models."""

    INPUTS = {
        **standard_component_specs.TrainerSpec.INPUTS,
        CANDIDATES: ChannelParameter(type=standard_artifacts.Examples),
        CANDIDATE_GRAPH: ChannelParameter(type=standard_artifacts.TransformGraph),
        **{name: ChannelParameter(type=standard_artifacts.Model, optional=True) for name in _MODELS},
    }


class CatalogueTrainerExecutor(GenericExecutor):
    """Hands the catalogue's files to ``run_fn`` through the custom config."""

    def _GetFnArgs(
        self,
        input_dict: dict[str, list[artifact.Artifact]],
        output_dict: dict[str, list[artifact.Artifact]],
        exec_properties: dict[str, Any],
    ) -> fn_args_utils.FnArgs:
        own = (CANDIDATES, CANDIDATE_GRAPH, *_MODELS)
        standard = {k: v for k, v in input_dict.items() if k not in own}
        fn_args = super()._GetFnArgs(standard, output_dict, exec_properties)
        catalogue = artifact_utils.get_split_uris(input_dict[CANDIDATES], CATALOGUE_SPLIT)[0]
        fn_args.custom_config = {
            **(fn_args.custom_config or {}),
            CANDIDATE_FILES_KEY: os.path.join(catalogue, "*.gz"),
            CANDIDATE_GRAPH_KEY: artifact_utils.get_single_uri(input_dict[CANDIDATE_GRAPH]),
            RESUME_DIR_KEY: _resume_dir(input_dict, output_dict, exec_properties),
        }
        for name, key in _MODELS.items():
            if input_dict.get(name):
                uri = artifact_utils.get_single_uri(input_dict[name])
                fn_args.custom_config[key] = path_utils.serving_model_path(uri)
        return fn_args


def _resume_dir(
    input_dict: dict[str, list[artifact.Artifact]],
    output_dict: dict[str, list[artifact.Artifact]],
    exec_properties: dict[str, Any],
) -> str:
    """Beside the node's outputs, under a digest of its inputs and settings.

    An output's own directory is another one each time the step is run; a training may only be gone on with
    where nothing that it follows from has changed.
    """
    inputs = {key: [item.uri for item in items] for key, items in sorted(input_dict.items())}
    digest = hashlib.sha256(json.dumps([inputs, exec_properties], sort_keys=True, default=str).encode())
    outputs = artifact_utils.get_single_uri(output_dict[standard_component_specs.MODEL_KEY])
    node = os.path.dirname(os.path.dirname(outputs.rstrip("/")))
    return os.path.join(node, "unfinished", digest.hexdigest()[:16])


class CatalogueTrainer(base_component.BaseComponent):
    """Trains a model on transformed interactions over the whole catalogue."""

    SPEC_CLASS = CatalogueTrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(CatalogueTrainerExecutor)

    def __init__(
        self,
        *,
        run_fn: str,
        interactions: tfx.components.Transform,
        candidates: tfx.components.Transform,
        schema: channel.BaseChannel,
        declaration: Declaration,
        config_json: str,
        retrieval_model: channel.BaseChannel | None = None,
        ranking_model: channel.BaseChannel | None = None,
    ):
        """Makes the node.

        Args:
            run_fn: Dotted path of the function that trains and exports.
            interactions: The interactions' Transform.
            candidates: The candidates' Transform.
            schema: The interactions' schema.
            declaration: Passed to ``run_fn`` under ``DECLARATION_KEY``.
            config_json: The model's section of the domain file, passed under ``CONFIG_KEY``.
            retrieval_model: A trained retrieval model, whose path is passed under ``RETRIEVAL_MODEL_KEY``.
            ranking_model: A trained ranking model, whose path is passed under ``RANKING_MODEL_KEY``.
        """
        models = {RETRIEVAL_MODEL: retrieval_model, RANKING_MODEL: ranking_model}
        custom_config = {DECLARATION_KEY: declaration.model_dump_json(), CONFIG_KEY: config_json}
        super().__init__(
            spec=CatalogueTrainerSpec(
                examples=interactions.outputs["transformed_examples"],
                transform_graph=interactions.outputs["transform_graph"],
                schema=schema,
                candidates=candidates.outputs["transformed_examples"],
                candidate_graph=candidates.outputs["transform_graph"],
                run_fn=run_fn,
                # The number of steps follows from epochs and early stopping in our own sections.
                train_args=tfx.proto.TrainArgs(splits=["train"]),
                eval_args=tfx.proto.EvalArgs(splits=["eval"]),
                custom_config=json_utils.dumps(custom_config),
                **{name: model for name, model in models.items() if model},
                model=channel.Channel(type=standard_artifacts.Model),
                model_run=channel.Channel(type=standard_artifacts.ModelRun),
            )
        )


def retrieval_trainer(
    interactions: tfx.components.Transform,
    candidates: tfx.components.Transform,
    schema: channel.BaseChannel,
    declaration: Declaration,
    config: RetrievalConfig,
    *,
    repeats: bool,
) -> CatalogueTrainer:
    """The node RetrievalTrainer; ``repeats`` says whether a query may meet a candidate again."""
    return CatalogueTrainer(
        run_fn="components.retrieval.trainer.run_fn",
        interactions=interactions,
        candidates=candidates,
        schema=schema,
        declaration=declaration,
        config_json=TrainerConfig(**config.model_dump(), repeats=repeats).model_dump_json(),
    ).with_id("RetrievalTrainer")
