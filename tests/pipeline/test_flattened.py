from __future__ import annotations

import pyarrow as pa
import pytest

from components.ingest.features import NumericFeature
from pipeline.check_data.feature_facts import feature_facts


@pytest.mark.parametrize(
    ("far", "told"),
    [([1e30], True), ([-999999999.0], True), ([1e8, 1e8], True), ([2000.0], False), ([], False)],
)
def test_a_value_that_flattens_a_standardised_column_is_told(far, told) -> None:
    values = pa.chunked_array([[float(number % 100) for number in range(1000)] + far])
    _, findings = feature_facts("candidates", "price", NumericFeature(kind="numeric"), values)
    assert any("once standardised" in finding.message for finding in findings) == told
