"""Random lists and what was chosen, for two implementations of the metrics to be computed on."""

import numpy as np

QUERIES, CATALOGUE, LENGTH = 200, 500, 100


def random_lists() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The lists, int64 [queries, length] rows; what was chosen, [queries]; and train positives, [catalogue].

    By sorting random numbers, which all versions of numpy draw alike. Popular candidates are recommended and
    chosen more often; of some, train knows nothing.
    """
    generator = np.random.default_rng(20)
    positives = np.maximum(np.floor(400 * generator.random(CATALOGUE) ** 6) - 1, 0).astype(np.int64)
    liking = generator.random((QUERIES, CATALOGUE)) + 0.002 * positives
    lists = np.argsort(-liking, axis=1)[:, :LENGTH]
    chosen = np.argmax(generator.random((QUERIES, CATALOGUE)) + 0.15 * liking, axis=1)
    return lists, chosen, positives
