"""What the AlignmentTrainer step runs."""

from __future__ import annotations

import functools

import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from components.alignment.config import AlignmentTrainerConfig
from components.alignment.model import AlignedModel
from components.alignment.teacher import Teacher
from components.alignment.validation import MONITOR, CascadeValidation, Refresh
from components.retrieval.factorized_top_k import measured_by_factorized_top_k
from components.retrieval.model import RetrievalModel
from components.retrieval.node import CONFIG_KEY, RANKING_MODEL_KEY, RESUME_DIR_KEY, RETRIEVAL_MODEL_KEY
from components.retrieval.trainer import ExportedRetrieval, build_model, restore_weights
from components.retrieval.training import fit
from components.retrieval.training_inputs import (
    TrainingInputs,
    encoded_query_signature,
    read_training_inputs,
    write_training_history,
)


def run_fn(fn_args: FnArgs) -> None:
    """Goes on training the towers with what the ranker says of the train split, and exports them.

    Writes a SavedModel of :class:`ExportedRetrieval` that takes the place of the towers' own, TensorBoard
    logs, and every epoch's metrics.
    """
    config = AlignmentTrainerConfig.model_validate_json(fn_args.custom_config[CONFIG_KEY])
    towers = config.retrieval
    inputs = read_training_inputs(fn_args, positives_only=towers.loss.positives_only, debias=towers.debias)
    trained, ranker = (fn_args.custom_config[key] for key in (RETRIEVAL_MODEL_KEY, RANKING_MODEL_KEY))
    model, history = align(
        inputs,
        config,
        trained,
        ranker,
        log_dir=fn_args.model_run_dir,
        resume_dir=fn_args.custom_config[RESUME_DIR_KEY],
    )
    history = measured_by_factorized_top_k(
        model,
        inputs.validation,
        config.validation_queries,
        exclude_history=not config.repeats,
        log_dir=fn_args.model_run_dir,
        history=history,
    )
    write_training_history(fn_args.model_run_dir, history)
    exported = ExportedRetrieval(model, encoded_query_signature(inputs))
    tf.saved_model.save(exported, fn_args.serving_model_dir, signatures=exported.signatures())


def align(
    inputs: TrainingInputs,
    config: AlignmentTrainerConfig,
    trained: str,
    ranker: str,
    *,
    log_dir: str,
    resume_dir: str | None = None,
) -> tuple[RetrievalModel, dict[str, list[float]]]:
    """Trains the towers on from where they are.

    Args:
        inputs: The data that the towers were trained on.
        config: What the step is told.
        trained: Directory of the towers' export.
        ranker: Directory of the ranker's.
        log_dir: Where TensorBoard logs go.
        resume_dir: As for :func:`components.retrieval.training.fit`.

    Returns:
        The towers of the best epoch; and the metrics of every epoch, by name, those of the towers as they
        were as ``before_…``.
    """
    names = list(encoded_query_signature(inputs))
    teacher = Teacher(
        tf.saved_model.load(trained),
        tf.saved_model.load(ranker),
        config.heads,
        config.weights,
        config.combination,
        names,
        len(inputs.table),
    )
    training = config.training(config.retrieval)
    make = functools.partial(AlignedModel, teacher=teacher, config=config)
    model = build_model(inputs, training, make)
    restore_weights(model, trained, next(iter(inputs.train.batches(training.batch_size))))
    validation = CascadeValidation(teacher, inputs.validation, config)
    before = validation.measure(model)
    # As Keras prints the epochs that follow.
    print("before", *(f"{name}: {value:.4f}" for name, value in before.items()), sep=" - ", flush=True)
    history = fit(
        model,
        inputs.train,
        inputs.validation,
        training,
        log_dir,
        resume_dir,
        exclude_history=not config.repeats,
        validations=[validation],
        callbacks=[Refresh()],
        monitor=MONITOR,
        section="alignment",
    )
    return model, history | {f"before_{name}": [value] for name, value in before.items()}
