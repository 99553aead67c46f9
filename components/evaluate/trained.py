"""The trained baselines, asked the way the served model is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from components.baselines.artifact import Baselines
from components.evaluate.config import RETRIEVED
from components.evaluate.list_metrics import UNFILLED
from components.evaluate.served import Catalogue


class TrainedRivals:
    """Lists of the trained baselines in the rows of a served model's catalogue."""

    def __init__(self, folder: str, kinds: Sequence[str]):
        """Reads the baselines.

        Args:
            folder: where they are; not looked at where no kind is asked for.
            kinds: which of them are asked.
        """
        self._kinds = kinds
        self._baselines = Baselines.load(folder) if kinds else None
        self._ids = pd.Index(self._baselines.ids if self._baselines else [], dtype=object)

    def ranked(self, history: np.ndarray) -> dict[str, np.ndarray]:
        """Ranks the candidates once, for all questions about a batch.

        Args:
            history: bytes ids [batch, m], b"" for padding.

        Returns:
            By kind the ids [batch, at most RETRIEVED + m], best first: enough for any part of the history
            to be left out.
        """
        if self._baselines is None:
            return {}
        rows = self._ids.get_indexer(history.reshape(-1)).reshape(history.shape)
        count = RETRIEVED + history.shape[1]
        return {kind: self._baselines.ids[self._baselines.ranked(kind, rows, count)] for kind in self._kinds}


def listed(catalogue: Catalogue, ranked: np.ndarray, exclude: np.ndarray) -> np.ndarray:
    """Returns int64 [batch, RETRIEVED] rows of a ranking without what is excluded, UNFILLED at the end.

    Args:
        catalogue: whose rows; a candidate that it has not is left out.
        ranked: bytes ids [batch, n], best first.
        exclude: bytes ids [batch, m]; b"" excludes nothing.
    """
    rows, excluded = catalogue.rows(ranked), catalogue.rows(exclude)
    barred = (rows[:, :, np.newaxis] == excluded[:, np.newaxis, :]).any(axis=2) | (rows == UNFILLED)
    order = np.argsort(barred, axis=1, kind="stable")[:, :RETRIEVED]
    kept = np.where(
        np.take_along_axis(barred, order, axis=1), UNFILLED, np.take_along_axis(rows, order, axis=1)
    )
    missing = max(0, RETRIEVED - kept.shape[1])
    return np.pad(kept, ((0, 0), (0, missing)), constant_values=UNFILLED)
