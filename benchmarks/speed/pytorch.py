"""The equivalent PyTorch model, as quick as PyTorch's own means make it.

Embeddings have sparse gradients and ``SparseAdam`` moves their rows; an epoch's order is one permutation,
and a batch is two gathers of it, not a ``DataLoader``'s item after item.
"""

from __future__ import annotations

import math
import time

import torch
import torch.nn.functional as F

from benchmarks.speed.pairs import EqualBatch, Pairs
from benchmarks.speed.turns import Turns

EXCLUDED = -1e9


def examples_per_second(turns: Turns, pairs: Pairs, equal: EqualBatch) -> None:
    """Trains; each turn is an epoch, reported as its interactions a second (float).

    The first one, which warms up, also finds whether one thread or one a core is quicker: where cores are
    shared with other programs, threads that wait for each other can be slower than one.
    """
    torch.manual_seed(equal.seed)
    users, items = torch.from_numpy(pairs.users), torch.from_numpy(pairs.items)
    model = Factorisation(pairs, equal)
    optimizer = torch.optim.SparseAdam(model.parameters(), lr=equal.learning_rate)

    def train(order: torch.Tensor) -> float:
        began = time.monotonic()
        for places in order.split(equal.batch):
            loss = model(users[places], items[places])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return len(order) / (time.monotonic() - began)

    turns.wait()
    warm_up, *tries = torch.randperm(len(users)).chunk(3)
    train(warm_up)
    rates = {}
    for threads, order in zip({1, torch.get_num_threads()}, tries, strict=False):
        torch.set_num_threads(threads)
        rates[threads] = train(order)
    torch.set_num_threads(max(rates, key=rates.__getitem__))
    turns.report(max(rates.values()))
    while True:
        turns.wait()
        turns.report(train(torch.randperm(len(users))))


class Factorisation(torch.nn.Module):
    """Matrix factorisation under the loss that :class:`EqualBatch` describes."""

    def __init__(self, pairs: Pairs, equal: EqualBatch):
        """Makes the two tables, and counts items for the logQ correction."""
        super().__init__()
        self._equal = equal
        self._items = pairs.item_count
        self.users = torch.nn.Embedding(pairs.user_count, equal.dim, sparse=True)
        self.items = torch.nn.Embedding(pairs.item_count, equal.dim, sparse=True)
        for table in (self.users, self.items):
            torch.nn.init.uniform_(table.weight, -0.05, 0.05)
        counts = torch.bincount(torch.from_numpy(pairs.items), minlength=pairs.item_count)
        self._shares = counts.clamp(min=0.5) / len(pairs.items)

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """The mean loss (scalar) of interactions given as int64 [batch] users and items."""
        queries, positives = self.users(users), self.items(items)
        pool, embedded = [], []
        if self._equal.in_batch:
            pool, embedded = [items], [positives]
        if self._equal.uniform:
            drawn = torch.randint(self._items, (self._equal.uniform,))
            pool, embedded = [*pool, drawn], [*embedded, self.items(drawn)]
        negatives = torch.cat(pool)
        own = (queries * positives).sum(dim=1) - self._log_expected(items, len(items))
        scores = queries @ torch.cat(embedded).T - self._log_expected(negatives, len(items))
        scores = scores.masked_fill(negatives == items[:, None], EXCLUDED)
        return F.softplus(scores.logsumexp(dim=1) - own).mean()

    def _log_expected(self, items: torch.Tensor, batch: int) -> torch.Tensor | float:
        """Logarithm of how often items are expected among a query's negatives."""
        uniform = self._equal.uniform / self._items
        if not self._equal.in_batch:
            return math.log(uniform)
        return torch.log((batch - 1) * self._shares[items] + uniform)
