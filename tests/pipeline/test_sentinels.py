"""Numbers and texts of a feature that do not mean what they say."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from components.ingest.features import HashFeature, NumericFeature, VocabularyFeature
from pipeline.check_data.feature_facts import feature_facts

PRICES = list(np.round(np.random.default_rng(3).lognormal(2, 1, 1000), 2))
AGES = [float(18 + at % 60) for at in range(1000)]
YEARS = [float(1950 + at % 70) for at in range(1000)]
RATINGS = [float(1 + at % 10) for at in range(1000)]
RARE = [9.99, 19.99, 99.0, 49.0, 24.5, 5.0, 12.0] * 140


def _told(values) -> str:
    _, findings = feature_facts(
        "candidates", "price", NumericFeature(kind="numeric"), pa.chunked_array([values])
    )
    return " ".join(found.message for found in findings if "stand for none" in found.message)


@pytest.mark.parametrize(
    ("values", "sentinel"),
    [
        ([*PRICES, *[-999999.0] * 20], "-999999"),
        ([*AGES, *[999.0] * 12], "999"),
        ([*AGES, *[-1.0] * 80], "-1"),
        ([*YEARS, *[0.0] * 30], "0"),
        ([*YEARS, *[9999.0] * 30], "9999"),
        ([*RATINGS, *[-99999.0] * 6], "-99999"),
        ([*AGES, *[2147483647.0] * 9], "2147483647"),
    ],
)
def test_a_number_that_stands_for_none_is_told_with_the_key_that_says_so(values, sentinel) -> None:
    assert f"missing: {{<column>: [{sentinel}]}}" in _told(values)


@pytest.mark.parametrize(
    "values",
    [
        PRICES,
        AGES,
        YEARS,
        RATINGS,
        RARE,
        [*PRICES, *[0.0] * 100],
        [*PRICES, *[999.0] * 2],
        [*RATINGS, *[0.0] * 100],
        [float(at - 500) for at in range(1000)] * 2,
        [-1.0, 0.0, 1.0] * 300,
        [*AGES, 9999.0],
        [float(at * 10 % 9999) for at in range(1000)] + [9999.0] * 20,
    ],
)
def test_ordinary_numbers_stand_for_themselves(values) -> None:
    assert not _told(values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (["25.0", "49.0"], True),
        (["1.00", "2.00", "2.00"], True),
        (["-1.0", "3.0"], True),
        (["25", "49"], False),
        (["1.0", "1.5"], False),
        (["v1.0", "v2.0"], False),
    ],
)
@pytest.mark.parametrize("feature", [VocabularyFeature(kind="vocabulary"), HashFeature(kind="hash", bins=8)])
def test_whole_numbers_that_gaps_have_made_floats_are_told(values, told, feature) -> None:
    _, findings = feature_facts("queries", "age", feature, pa.chunked_array([values]))
    assert any("written as" in found.message for found in findings) == told
