from __future__ import annotations

import pytest

from serving.model_files import ModelFiles


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a\nb\n", ["a", "b"]),
        ("", []),
        ("a\u2028b\nc\n", ["a\u2028b", "c"]),
        ("a\x85b\n", ["a\x85b"]),
        ("u2\u240ax\nu3\u240dy\n", ["u2\nx", "u3\ry"]),
        ("a\x0cb\nc\n", ["a\x0cb", "c"]),
    ],
)
def test_a_vocabulary_is_read_a_value_a_line_whatever_unicode_calls_one(tmp_path, text, values):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "query_user").write_text(text, encoding="utf-8")
    assert ModelFiles(tmp_path).vocabulary("query_user") == values
