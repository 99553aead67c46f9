"""What the trainers would refuse, by their own words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from components.ingest.learnable import no_positions, no_propensities, nothing_in
from components.ingest.split import EVAL, SPLITS, TRAIN
from pipeline.check_data.report import Finding
from pipeline.check_data.splits import Divided
from pipeline.domain import Domain


def about_training(domain: Domain, divided: Divided, *, whole: bool) -> Iterator[Finding]:
    """Yield what a trainer would stop at.

    Args:
        domain: Says what is trained.
        divided: The interactions.
        whole: Whether these are all; of a part, that something is in none of them is no proof.
    """
    for about, message in _refusals(domain, divided):
        yield Finding(level="error" if whole else "warning", about=about, message=message)


def _refusals(domain: Domain, divided: Divided) -> Iterator[tuple[str, str]]:
    partition = divided.partition
    for split in (TRAIN, EVAL):
        rows = np.flatnonzero(divided.splits == split)
        if len(rows) and not partition.positive[rows].any():
            yield "split", nothing_in(SPLITS[split], domain.declaration, positives_only=True)
    train = np.flatnonzero(divided.splits == TRAIN)
    if not len(train):
        return
    log, ranking = domain.interactions, domain.ranking
    weighed = ranking.inverse_propensity
    if log.position and not partition.has("position", train):
        if ranking.position:
            yield "ranking.position", no_positions(log.position, "ranking.position")
        if weighed and weighed.of_position(log):
            key = "ranking.inverse_propensity"
            yield key, no_positions(log.position, key)
    by_policy = weighed is not None and not weighed.of_position(log)
    if by_policy and log.propensity and not partition.has("propensity", train):
        yield "ranking.inverse_propensity", no_propensities(log.propensity)
