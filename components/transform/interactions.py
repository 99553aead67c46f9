"""What the InteractionTransform step runs."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from components.ingest.declaration import (
    ACTION,
    HISTORY,
    HISTORY_ACTION,
    HISTORY_AGE,
    POSITIVE,
    WEIGHT,
    Declaration,
)
from components.transform.encoding import apply_vocabulary, encode, single
from components.transform.interaction_dataset import UNKNOWN_POSITION, UNKNOWN_PROPENSITY

DECLARATION_KEY = "declaration"
"""Key of the custom config under which a step finds the :class:`Declaration` as JSON."""


def preprocessing_fn(
    inputs: dict[str, tf.Tensor | tf.SparseTensor], custom_config: dict[str, Any]
) -> dict[str, tf.Tensor | tf.SparseTensor]:
    """Encodes the query side of an interaction and passes its keys and labels on.

    Every analyzer sees the train split only, so no vocabulary or quantile knows the future. Candidate
    ids stay strings: the candidate table, which is not known here, gives them their row. A history is cut
    and padded when it is read, so its ages and actions stay as they are beside them.

    Args:
        inputs: Raw interaction examples, by the schema: [batch, 1] dense or sparse [batch, any].
        custom_config: Holds the declaration under ``DECLARATION_KEY``.

    Returns:
        Encoded query id (int64 [batch]) and query features by name (see ``EncodedFeature``); candidate
        id (string [batch]); history, its ages and, where they tell events apart, actions (sparse
        [batch, any]); positive, weight and, where one is declared, the rating (float32 [batch]); where
        actions are declared, the action (string [batch]); where declared, the position (int64 [batch]) and
        the propensity (float32 [batch]), ``UNKNOWN_POSITION`` and ``UNKNOWN_PROPENSITY`` where missing.
    """
    declaration = Declaration.model_validate_json(custom_config[DECLARATION_KEY])
    log = declaration.interactions
    outputs: dict[str, tf.Tensor | tf.SparseTensor] = {
        log.query_id: apply_vocabulary(inputs[log.query_id][:, 0], "query", log.query_id),
        log.candidate_id: inputs[log.candidate_id][:, 0],
        HISTORY: inputs[HISTORY],
        HISTORY_AGE: inputs[HISTORY_AGE],
    }
    if declaration.history_actions:
        outputs[HISTORY_ACTION] = inputs[HISTORY_ACTION]
    labels = (*([log.rating.column] if log.rating else []), *([ACTION] if log.actions else []))
    for name in (POSITIVE, WEIGHT, *labels):
        outputs[name] = inputs[name][:, 0]
    if log.position:
        outputs[log.position] = single(inputs[log.position], tf.constant(UNKNOWN_POSITION, tf.int64))
    if log.propensity:
        outputs[log.propensity] = single(inputs[log.propensity], UNKNOWN_PROPENSITY)
    for name, feature in declaration.query_features.items():
        outputs[name] = encode(name, feature, inputs[name], "query")
    return outputs
