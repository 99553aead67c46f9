"""A bounded look at large tables."""

from __future__ import annotations

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.propose import sample
from pipeline.propose.given import given_tables
from pipeline.propose.profile import profile_table
from tests.pipeline.propose.shop import (
    START,
    write_csv,
    write_jsonl,
)


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl", "csv.gz"])
def test_of_a_large_table_stretches_from_all_over_are_read(tmp_path, monkeypatch, form):
    rows = [{"user_id": f"u{at % 99}", "item_id": f"i{at}", "ts": START + at} for at in range(20_000)]
    path = tmp_path / f"log.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1000)
    elif form == "jsonl":
        write_jsonl(path, rows)
    else:
        write_csv(path, rows)
    if form.endswith("gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    monkeypatch.setattr(sample, "WHOLE_BYTES", 0)
    monkeypatch.setattr(sample, "WHOLE_PARQUET_ROWS", 0)
    monkeypatch.setattr(sample, "STRETCH_BYTES", 2_000)
    monkeypatch.setattr(sample, "STRETCH_ROWS", 60)
    monkeypatch.setattr(sample, "COMPRESSED_HEAD_BYTES", 30_000)
    profile = profile_table(given_tables([path])[0][0])
    assert not profile.sample.whole
    assert 300 < profile.sample.rows.num_rows < 5_000
    if not form.endswith("gz"):
        assert profile.sample.total == pytest.approx(20_000, rel=0.25)
    assert profile.sample.malformed == 0
    seen = profile.column("ts").numbers - START
    assert seen.min() == 0
    if not form.endswith("gz"):
        assert seen.max() > 18_900
        assert len(set(seen // 1250)) >= 12
    assert len(set(seen)) == len(seen)
    # A key is looked for in the whole column, not in the sample.
    assert [key.name for key in profile.keys] == ["item_id"]
    assert len(profile.key_values(profile.column("item_id"))) == 20_000
