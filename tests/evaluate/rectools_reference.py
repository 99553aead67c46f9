"""Prints the metrics of the random lists as RecTools computes them: what ``test_list_metrics.py`` expects.

Not run by the tests: RecTools 0.19 wants numpy below 2 on Python 3.11 and 3.12, ScaNN wants numpy 2. In an
environment of its own: ``pip install rectools==0.19.0; python tests/evaluate/rectools_reference.py``.
"""

import numpy as np
import pandas as pd
from random_lists import LENGTH, QUERIES, random_lists
from rectools.metrics import (
    MRR,
    NDCG,
    AvgRecPopularity,
    CatalogCoverage,
    HitRate,
    MeanInvUserFreq,
    Recall,
    calc_metrics,
)

METRICS = {
    "recall@10": Recall(k=10),
    "hit_rate@10": HitRate(k=10),
    "recall@100": Recall(k=100),
    "hit_rate@100": HitRate(k=100),
    "ndcg@10": NDCG(k=10, divide_by_achievable=True),
    "mrr": MRR(k=100),
    "coverage@10": CatalogCoverage(k=10, normalize=True),
    "novelty@10": MeanInvUserFreq(k=10),
    "arp@10": AvgRecPopularity(k=10),
}


def main() -> None:
    """Prints the values as a dictionary."""
    lists, chosen, positives = random_lists()
    queries = np.repeat(np.arange(QUERIES), LENGTH)
    ranks = np.tile(np.arange(1, LENGTH + 1), QUERIES)
    recommended = pd.DataFrame({"user_id": queries, "item_id": lists.ravel(), "rank": ranks})
    held_out = pd.DataFrame({"user_id": np.arange(QUERIES), "item_id": chosen})
    # Each interaction by another user: RecTools' share of users then is our share of interactions.
    train = pd.DataFrame({"item_id": np.repeat(np.arange(len(positives)), positives)})
    train["user_id"] = np.arange(len(train))
    values = calc_metrics(METRICS, recommended, held_out, train, np.arange(len(positives)))
    # What was chosen, as lists of one: how popular it was.
    truth = held_out.assign(rank=1)
    values["chosen_popularity"] = AvgRecPopularity(k=1).calc(truth, train)
    print({name: float(value) for name, value in values.items()})


if __name__ == "__main__":
    main()
