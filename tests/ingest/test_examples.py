from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingest.examples import ListedStrings, encode_examples, string_entries
from components.ingest.tfrecord import shard_name, write_shard

FLOATS = st.floats(width=32, allow_nan=False)
COLUMNS = {
    "text": (pa.string(), st.text(max_size=300)),
    "number": (pa.float64(), FLOATS),
    "moment": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "words": (pa.list_(pa.string()), st.lists(st.text(max_size=20), max_size=200)),
    "vector": (pa.list_(pa.float32()), st.lists(FLOATS, max_size=60)),
    "moments": (pa.list_(pa.int64()), st.lists(st.integers(0, 2**40), max_size=30)),
}


@settings(max_examples=150, deadline=None)
@given(data=st.data(), rows=st.integers(0, 12))
def test_every_kind_of_column_comes_back_as_tensorflow_reads_it(data, rows) -> None:
    columns = {
        name: data.draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        for name, (_, values) in COLUMNS.items()
    }
    encoded = encode_examples({name: pa.array(columns[name], kind) for name, (kind, _) in COLUMNS.items()})
    assert len(encoded) == rows
    for row, message in enumerate(encoded.to_pylist()):
        features = tf.train.Example.FromString(message).features.feature
        assert sorted(features) == sorted(COLUMNS)
        for name, values in columns.items():
            kind = features[name].WhichOneof("kind")
            found = list(getattr(features[name], kind).value) if kind else []
            value = values[row]
            wanted = value if isinstance(value, list) else [] if value is None else [value]
            if name in ("text", "words"):
                assert [text.decode() for text in found] == wanted
            elif name in ("number", "vector"):
                assert found == [float(np.float32(number)) for number in wanted]
            else:
                assert found == wanted


def test_histories_by_place_are_the_strings_they_stand_for() -> None:
    names = ["007", "é", "x" * 200]
    lists = ListedStrings(
        np.array([0, 0, 2, 3], np.int32), np.array([2, 0, 1]), string_entries(pa.array(names))
    )
    encoded = encode_examples({"history": lists})
    found = [
        [
            value.decode()
            for value in tf.train.Example.FromString(message).features.feature["history"].bytes_list.value
        ]
        for message in encoded.to_pylist()
    ]
    assert found == [[], ["x" * 200, "007"], ["é"]]


def test_dictionaries_and_slices_are_read_as_what_they_show() -> None:
    whole = pa.array(["a", "b", None, "a"]).dictionary_encode()
    encoded = encode_examples({"letter": whole, "part": pa.array([9.0, 1, 2, 3, 4, 5])[1:5]})
    features = [tf.train.Example.FromString(message).features.feature for message in encoded.to_pylist()]
    assert [list(feature["letter"].bytes_list.value) for feature in features] == [[b"a"], [b"b"], [], [b"a"]]
    assert [list(feature["part"].float_list.value) for feature in features] == [[1], [2], [3], [4]]


def test_a_shard_is_what_tensorflow_reads_and_appears_only_when_whole(tmp_path: Path) -> None:
    chunks = [pa.array([b"", b"a" * 70_000, b"b"], pa.binary()), pa.array([], pa.binary()), pa.array([b"c"])]
    size = write_shard(str(tmp_path / "Split-train"), 3, 12, chunks)
    path = tmp_path / "Split-train" / "data_tfrecord-00003-of-00012.gz"
    assert path.name == shard_name(3, 12) and path.stat().st_size == size
    records = tf.data.TFRecordDataset(str(path), compression_type="GZIP").as_numpy_iterator()
    assert list(records) == [b"", b"a" * 70_000, b"b", b"c"]

    def breaks_off():
        yield chunks[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(str(tmp_path / "Split-eval"), 0, 1, breaks_off())
    assert not list(tmp_path.glob("Split-eval/data*"))


def test_equal_examples_make_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_shard(str(tmp_path / name), 0, 1, [pa.array([b"x" * 1000])])
    one, two = (next((tmp_path / name).glob("*.gz")).read_bytes() for name in ("one", "two"))
    assert one == two and b"x" * 1000 in gzip.decompress(one)


def test_worker_processes_need_not_wait_for_tensorflow() -> None:
    heavy = "{'tensorflow', 'tfx', 'tfx_bsl', 'tensorflow_transform'}"
    code = f"import sys, components.ingest.beam_graph;print(sorted({heavy} & set(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
