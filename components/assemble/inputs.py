"""The inputs of the served signatures, derived from what the domain declares."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from components.assemble.signature_names import CANDIDATE_IDS, DIVERSITY, EXCLUDE, K
from components.ingest.declaration import HISTORY, HISTORY_ACTION, HISTORY_AGE, Declaration
from components.ingest.features import (
    EmbeddingFeature,
    Feature,
    MultivalentFeature,
    NumericFeature,
    TimestampFeature,
)
from serving.contract import MISSING_MOMENT


def query_specs(declaration: Declaration) -> dict[str, tf.TensorSpec]:
    """Raw inputs that describe a query: id, context, attributes and history."""
    specs = {declaration.interactions.query_id: tf.TensorSpec([None], tf.string)}
    specs |= {name: _feature_spec(feature) for name, feature in declaration.query_features.items()}
    specs[HISTORY] = tf.TensorSpec([None, None], tf.string)
    specs[HISTORY_AGE] = tf.TensorSpec([None, None], tf.float32)
    if declaration.history_actions:
        specs[HISTORY_ACTION] = tf.TensorSpec([None, None], tf.string)
    return _named(specs)


def candidate_specs(declaration: Declaration) -> dict[str, tf.TensorSpec]:
    """Raw inputs that describe a candidate: id and features."""
    specs = {declaration.candidates.id: tf.TensorSpec([None], tf.string)}
    specs |= {name: _feature_spec(feature) for name, feature in declaration.candidates.features.items()}
    return _named(specs)


def search_specs(declaration: Declaration) -> dict[str, tf.TensorSpec]:
    """Inputs of ``retrieve`` but the filters: a query, how many, and which candidates not."""
    return query_specs(declaration) | _named(
        {K: tf.TensorSpec([], tf.int32), EXCLUDE: tf.TensorSpec([None, None], tf.string)}
    )


def recommend_specs(declaration: Declaration) -> dict[str, tf.TensorSpec]:
    """Inputs of ``recommend``: those of a search, and how much its list's candidates are to differ."""
    return search_specs(declaration) | _named({DIVERSITY: tf.TensorSpec([], tf.float32)})


def rank_specs(declaration: Declaration) -> dict[str, tf.TensorSpec]:
    """Inputs of ``rank``: a query and the candidates to score for it."""
    return query_specs(declaration) | _named({CANDIDATE_IDS: tf.TensorSpec([None, None], tf.string)})


def refuse_unusable_numbers(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Return a request's raw inputs, checked when they are used.

    An infinite number would become a score that is no number, and no order holds for those: the list could
    then hold what is excluded. The check is part of the graph, so every server makes it.

    Args:
        inputs: Raw inputs by name. NaN is a missing number, but not as the age of an event.

    Raises:
        tf.errors.InvalidArgumentError: If a number is infinite, or an event of the history has an age that is
            not finite; names the input.
    """
    checked = dict(inputs)
    for name, values in inputs.items():
        if not values.dtype.is_floating:
            continue
        if name == HISTORY_AGE:
            usable = tf.math.is_finite(values) | (inputs[HISTORY] == "")
            expected = "a finite number of seconds for each event of the history"
        else:
            usable = ~tf.math.is_inf(values)
            expected = "finite numbers, or NaN where a value is missing"
        # Without quotes: TensorFlow puts a backslash before each.
        message = f"input {name} holds a number that is not finite; expected {expected}"
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(usable), [message])]):
            checked[name] = tf.identity(values)
    return checked


def refuse_unusable_outputs(outputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Return what a model makes of a request, checked when it is used.

    A finite number of a request may be so large that products of it are not finite.

    Args:
        outputs: float32 [any, ...] by name.

    Raises:
        tf.errors.InvalidArgumentError: If a number is not finite; names the output.
    """
    checked = {}
    for name, values in outputs.items():
        message = f"{name} is not finite for these inputs; expected numbers like those in the training data"
        finite = tf.debugging.Assert(tf.reduce_all(tf.math.is_finite(values)), [message])
        with tf.control_dependencies([finite]):
            checked[name] = tf.identity(values)
    return checked


def as_transform_input(
    values: tf.Tensor, spec: tf.io.FixedLenFeature | tf.io.VarLenFeature
) -> tf.Tensor | tf.SparseTensor:
    """Gives a served input the form in which Transform knows the feature.

    Args:
        values: [batch] or [batch, any]; an empty string, NaN or ``MISSING_MOMENT`` means that there is no
            value. Several numbers are one vector: a NaN anywhere means that there is none.
        spec: The feature's raw spec.

    Returns:
        [batch, 1] for a feature every example has, else a sparse tensor without the missing values.
    """
    columns = values[:, tf.newaxis] if values.shape.rank == 1 else values
    if isinstance(spec, tf.io.FixedLenFeature):
        return tf.cast(columns, spec.dtype)
    if columns.dtype == tf.string:
        present = columns != ""
    elif columns.dtype.is_floating:
        whole = tf.logical_not(tf.reduce_any(tf.math.is_nan(columns), axis=1, keepdims=True))
        present = tf.broadcast_to(whole, tf.shape(columns))
    else:
        present = columns != MISSING_MOMENT
    shape = tf.shape(columns, out_type=tf.int64)
    sparse = tf.SparseTensor(tf.where(present), tf.boolean_mask(columns, present), shape)
    return tf.cast(sparse, spec.dtype)


def _feature_spec(feature: Feature) -> tf.TensorSpec:
    match feature:
        case NumericFeature():
            return tf.TensorSpec([None], tf.float32)
        case TimestampFeature():
            return tf.TensorSpec([None], tf.int64)
        case MultivalentFeature():
            return tf.TensorSpec([None, None], tf.string)
        case EmbeddingFeature():
            return tf.TensorSpec([None, feature.dim], tf.float32)
    return tf.TensorSpec([None], tf.string)


def _named(specs: Mapping[str, tf.TensorSpec]) -> dict[str, tf.TensorSpec]:
    return {name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()}
