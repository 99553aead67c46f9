"""What the CandidateTransform step runs."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from components.ingest.declaration import Declaration
from components.transform.encoding import encode
from components.transform.interactions import DECLARATION_KEY


def preprocessing_fn(
    inputs: dict[str, tf.Tensor | tf.SparseTensor], custom_config: dict[str, Any]
) -> dict[str, tf.Tensor]:
    """Encodes the catalogue's features; the id stays a string.

    Analyzers see the whole catalogue: what a candidate *is* is known without any interaction.

    Args:
        inputs: Raw candidate examples, by the schema: [batch, 1] dense or sparse [batch, any].
        custom_config: Holds the declaration under ``DECLARATION_KEY``.

    Returns:
        The id (string [batch]) and the encoded features by name (see ``EncodedFeature``).
    """
    candidates = Declaration.model_validate_json(custom_config[DECLARATION_KEY]).candidates
    outputs = {candidates.id: inputs[candidates.id][:, 0]}
    for name, feature in candidates.features.items():
        outputs[name] = encode(name, feature, inputs[name], "candidate")
    return outputs
