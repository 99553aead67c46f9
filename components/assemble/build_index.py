"""Builds the configured index, tunes it, and says what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from components.assemble.config import AssembleConfig, IndexKind
from components.assemble.index import CandidateIndex, ExactIndex, LeafIndex
from components.assemble.index_report import IndexReport
from components.assemble.ivf_index import IvfIndex
from components.assemble.scann_index import SCANN_MINIMUM, ScannIndex
from components.assemble.tuning import tune
from components.retrieval.finite import refuse_candidates

_PERTURBED = 1000
_PERTURBATION = 0.5
_SEED = 20_27


@dataclass(frozen=True)
class TuningQueries:
    """Queries that an index is tuned on.

    Attributes:
        embeddings: float32 [queries, width].
        source: What they are, in words.
    """

    embeddings: np.ndarray
    source: str


@dataclass(frozen=True)
class BuiltIndex:
    """The exact index, the one to search (perhaps the same), and the report on it."""

    exact: ExactIndex
    index: CandidateIndex
    report: IndexReport


def build_index(
    embeddings: tf.Tensor,
    queries: TuningQueries | None,
    config: AssembleConfig,
    ids: np.ndarray | None = None,
    features: Mapping[str, np.ndarray] | None = None,
) -> BuiltIndex:
    """Builds the index that is asked for; the exact one where it is the faster or the only one.

    That is below ``exact_below`` candidates, or where no search of the index that costs less reaches
    ``ann_recall``.

    Args:
        embeddings: float32 [candidates, width].
        queries: What to tune on; None: perturbed candidates.
        config: The assemble section.
        ids: [candidates] bytes, to name candidates by; None: by their rows.
        features: Encoded features, [candidates, ...] each, to name the cause by.

    Raises:
        UserError: If an embedding is not finite: no index can hold it, and ScaNN would end the process.
    """
    rows = np.array([b"row %d" % row for row in range(embeddings.shape[0])], object) if ids is None else ids
    refuse_candidates(embeddings, rows, features)
    exact = ExactIndex(embeddings)

    def report(kind: IndexKind, **more: object) -> IndexReport:
        size, width = exact.embeddings.shape
        return IndexReport(kind=kind, asked=config.index, candidates=size, width=width, **more)

    if config.index == "exact":
        return BuiltIndex(exact, exact, report("exact"))
    least = max(config.exact_below, SCANN_MINIMUM)
    if exact.size < least:
        reason = f"below {least:,} candidates exact search is no slower (assemble.exact_below)"
        return BuiltIndex(exact, exact, report("exact", reason=reason))
    queries = queries or _perturbed(exact.embeddings.numpy())
    index = _trained(exact, config)
    # More than a quarter of the catalogue is answered exactly.
    k = min(config.tune_k, exact.size // 4)
    tuning = tune(index, exact, queries.embeddings, k, config.ann_recall)
    if tuning.leaves_to_search is None:
        reason = f"even {tuning.curve[-1].in_words(tuning)} (assemble.ann_recall)"
        return BuiltIndex(
            exact, exact, report("exact", reason=reason, tuned_on=queries.source, tuning=tuning)
        )
    return BuiltIndex(exact, index, report(config.index, tuned_on=queries.source, tuning=tuning))


def _trained(exact: ExactIndex, config: AssembleConfig) -> LeafIndex:
    root = math.sqrt(exact.size)
    if config.index == "scann":
        # Of a million candidates, even and uneven, the quicker beside the root itself and four times it.
        return ScannIndex(exact, min(config.leaves or round(2 * root), exact.size))
    # Its leaves are scored without quantisation, so that visiting fewer members is worth more centroids.
    return IvfIndex(exact, min(config.leaves or round(4 * root), exact.size))


def _perturbed(embeddings: np.ndarray) -> TuningQueries:
    """Candidates, drawn evenly, each with noise of half its length: where there are no real queries."""
    random = np.random.default_rng(_SEED)
    rows = random.choice(len(embeddings), min(_PERTURBED, len(embeddings)), replace=False)
    chosen = embeddings[rows]
    noise = random.normal(size=chosen.shape).astype(np.float32)
    noise *= np.linalg.norm(chosen, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
    return TuningQueries(embeddings=chosen + _PERTURBATION * noise, source="perturbed candidates")
