"""A public split as pairs of user and item, for contestants that know nothing of the product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pairs:
    """Interactions as integers.

    Attributes:
        users: int64 [interactions] to train on.
        items: int64 [interactions].
        held_out_users: int64 [held out] to validate on.
        held_out_items: int64 [held out].
        user_count: Number of users.
        item_count: Number of items.
    """

    users: np.ndarray
    items: np.ndarray
    held_out_users: np.ndarray
    held_out_items: np.ndarray
    user_count: int
    item_count: int


@dataclass(frozen=True)
class EqualBatch:
    """A model, a loss and a batch that two frameworks train alike.

    The model is matrix factorisation, a table of embeddings a side and their dot product. The loss is the
    sampled softmax with the logQ correction and without accidental hits, its negatives shared by the batch;
    the optimiser is Adam on the rows a batch uses.

    Attributes:
        dim: Width of the embeddings.
        batch: Interactions a step.
        in_batch: Whether the batch's items are negatives.
        uniform: How many negatives are drawn evenly from the catalogue for the whole batch.
        learning_rate: Of Adam.
        seed: Of weights, order and draws.
    """

    dim: int
    batch: int
    in_batch: bool
    uniform: int
    learning_rate: float = 0.003
    seed: int = 17
