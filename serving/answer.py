"""What a model answers, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Answered:
    """A signature's outputs.

    Attributes:
        version: Of the model that answered.
        outputs: By name; strings as [...] object arrays of bytes.
    """

    version: str
    outputs: Mapping[str, np.ndarray]
