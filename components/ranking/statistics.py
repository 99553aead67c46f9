"""What the train split says of each candidate, before any model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.ingest.declaration import POSITIVE
from components.transform.interaction_dataset import CANDIDATE_ROW, EncodedInteractions


@dataclass(frozen=True)
class RatingBaseline:
    """What to predict of a rating when nothing is known but the candidate.

    Attributes:
        column: Name of the rating.
        mean: Mean of all training ratings.
        offsets: float32 [candidates]; each candidate's mean minus ``mean``, shrunk towards 0 where few
            interactions back it.
    """

    column: str
    mean: float
    offsets: np.ndarray


@dataclass(frozen=True)
class TrainingStatistics:
    """Counts of the train split.

    Attributes:
        counts: int64 [candidates] interactions.
        positives: int64 [candidates] positive interactions.
        rating: The ratings' baseline, where interactions are rated.
    """

    counts: np.ndarray
    positives: np.ndarray
    rating: RatingBaseline | None

    def positive_log_odds(self, without: int = 0) -> np.ndarray:
        """float32 [candidates]: log odds that a positive is of the candidate, one added to each count.

        Args:
            without: How many of each candidate's own positives to leave out, as far as it has them.
        """
        kept = np.maximum(self.positives - without, 0)
        share = (kept + 1.0) / (self.positives.sum() + len(self.positives) + 1.0)
        return np.log(share / (1.0 - share)).astype(np.float32)


def training_statistics(
    interactions: EncodedInteractions, candidates: int, rating: str | None
) -> TrainingStatistics:
    """Counts a train split.

    The shrunk offset of a candidate with n ratings is ``sum(rating - mean) / (n + 5)``: the damped
    baseline predictor of Koren, "Factorization Meets the Neighborhood", KDD 2008, section 2.1.

    Args:
        interactions: The train split.
        candidates: Size of the catalogue.
        rating: Name of the rating, if interactions are rated.
    """
    rows = interactions.columns[CANDIDATE_ROW].numpy()
    positive = interactions.columns[POSITIVE].numpy() > 0
    counts = np.bincount(rows, minlength=candidates)
    baseline = None
    if rating is not None:
        ratings = interactions.columns[rating].numpy()
        mean = float(ratings.mean()) if len(ratings) else 0.0
        sums = np.bincount(rows, weights=ratings - mean, minlength=candidates)
        baseline = RatingBaseline(rating, mean, (sums / (counts + 5.0)).astype(np.float32))
    return TrainingStatistics(counts, np.bincount(rows[positive], minlength=candidates), baseline)
