"""YAML that says something else than it seems to is refused with its key and line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from components.ingest.errors import UserError
from pipeline.domain import load_domain
from pipeline.yaml_text import MOST_BYTES, YamlFault, read_yaml

TINY = Path(__file__).parents[1] / "fixtures" / "tiny"


@pytest.mark.parametrize(
    ("text", "key", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3", "a", 3, "comes twice, in lines 1 and 3"),
        ("a:\n  b: 1\n  'b': 2", "a.b", 3, "comes twice, in lines 2 and 3"),
        ("a: {b: 1, b: 2}", "a.b", 1, "comes twice"),
        ("- {x: 1}\n- {x: 1, y: 2,\n   x: 3}", "1.x", 3, "comes twice, in lines 2 and 3"),
        ("1: a\n1: b", "1", 2, "comes twice, in lines 1 and 2"),
        ("yes: a\non: b", "True", 2, "comes twice, in lines 1 and 2"),
        ("a: 2024-02-30", "a", 1, "found 2024-02-30, expected a date such as 2024-05-31"),
        ("a:\n  - 2023-02-29", "a.0", 2, "found 2023-02-29, expected a date"),
        ("a: 2024-13-01", "a", 1, "found 2024-13-01, expected a date"),
        ("a: 2024-01-01 25:00:00", "a", 1, "found 2024-01-01 25:00:00, expected a date"),
        ("a: 0000-01-01", "a", 1, "found 0000-01-01, expected a date"),
        ("a: 12:30", "a", 1, "found 12:30, which YAML reads with base 60. Write '12:30'"),
        ("a: 1:30.5", "a", 1, "found 1:30.5, which YAML reads with base 60"),
        ("a: 010", "a", 1, "found 010, which YAML reads with base 8. Write 10 for the number, '010' for"),
        ("a: [-007]", "a.0", 1, "found -007, which YAML reads with base 8. Write 7"),
        ("a: " + "9" * 5000, "a", 1, "expected a value that YAML can read"),
        ("a: 9223372036854775808", "a", 1, "a number beyond 64 bits. Write it in quotes"),
        ('a: "x\\0y"', "a", 1, "holds a character that no text has"),
        ('a: "\\ud800"', "a", 1, "holds a character that no text has"),
        ("a: !!binary aGk=", "a", 1, "has the tag tag:yaml.org,2002:binary"),
        ("a: !!python/object/apply:os.getcwd []", "a", 1, "has the tag tag:yaml.org,2002:python"),
        ("a: !!set {x}", "a", 1, "has the tag"),
        ("? [a, b]\n: 1", "", 1, "has a list or section as a key"),
        ("a: &x\n  b: *x", "a.b.b.…", 1, "nested in more than 40 levels, or in itself"),
        ("a: " + "[" * 60 + "]" * 60, "a.0.0.…", 1, "nested in more than 40 levels"),
        ("a: " + "[" * 5000, "", 1, "nested in more than 40 levels"),
        ("a:\n\tb: 1", "", 2, "a tab: indent with spaces"),
        ("a: [1", "", 1, "is no YAML"),
        ("a: *nothing", "", 1, "found undefined alias 'nothing'"),
        ("a: 1\n---\nb: 2", "", 2, "expected a single document"),
        ("a: \x07", "", 1, "is no YAML"),
        ("<<: 3", "", 1, "merges (<<) what has no keys"),
        ("a: 1\n" + "# a comment\n" * (MOST_BYTES // 12 + 1), "", 1, "expected a domain file"),
    ],
)  # fmt: skip
def test_what_yaml_would_take_for_something_else_is_refused_with_key_and_line(text, key, line, message):
    with pytest.raises(YamlFault) as refused:
        read_yaml(text)
    assert message in refused.value.message
    assert (refused.value.key, refused.value.line) == (key, line)


def test_few_lines_of_aliases_that_stand_for_billions_of_values_are_refused_at_once():
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(YamlFault, match="more than 100,000 values, aliases"):
        read_yaml("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("", None),
        ("a: 1e-3", {"a": 0.001}),
        ("a: [1E5, -2.5e+3, .5, 1.0e5]", {"a": [1e5, -2500.0, 0.5, 1e5]}),
        ("a: '010'", {"a": "010"}),
        ("a: [0, 10, 1_000, 0x1F]", {"a": [0, 10, 1000, 31]}),
        ("base: &b {x: 1, y: 2}\nmine: {<<: *b, y: 3}", {"base": {"x": 1, "y": 2}, "mine": {"x": 1, "y": 3}}),
        ("one: &l [1]\ntwo: *l", {"one": [1], "two": [1]}),
    ],
)
def test_what_is_meant_as_it_is_written_is_read(text, content):
    assert read_yaml(text).content == content


@pytest.mark.parametrize(
    "path", sorted(TINY.parents[2].glob("schemas/*/domain.yaml")), ids=lambda p: p.parent.name
)
def test_the_domains_that_come_with_westwork_read_as_pyyaml_reads_them(path):
    text = path.read_text(encoding="utf-8")
    assert read_yaml(text).content == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found nothing; expected keys"),
        (b"# only a comment\n", "found nothing; expected keys"),
        (b"- a\n- b\n", "found a list; expected keys"),
        (b"hello", "found a single value; expected keys"),
        (b"title: caf\xe9\n", "found byte 0xe9 at 10, which is no UTF-8"),
        ("title: x".encode("utf-16"), "which is no UTF-8"),
        (b"PAR1\x00\x01\x02", "is no YAML"),
        (b"\x1f\x8b\x08\x00rest", "which is no UTF-8"),
        (b"x" * (MOST_BYTES + 1), "found 2,000,001 bytes; expected a domain file"),
        (b"title: Shop\ntitle: Shop\n", "title (line 2): comes twice, in lines 1 and 2"),
        (b"title: Shop\non: 1\n", "found a key 'on'"),
        (b"title: Shop\nname: x\n", "key 'name' is not for the file"),
    ],
)
def test_a_file_that_is_no_domain_is_refused_with_what_it_holds(content, message, tmp_path):
    file = tmp_path / "domain.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError) as refused:
        load_domain(str(tmp_path))
    assert str(file) in str(refused.value) and message in str(refused.value)


@pytest.mark.parametrize("name", ["nowhere", "x" * 5000, "a\0b", "/dev/null/x", ""])
def test_a_domain_that_cannot_be_found_is_refused_with_those_there_are(name):
    with pytest.raises(UserError, match=r"expected one of .*movielens"):
        load_domain(name)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("interactions.since=2024-02-30", "interactions.since: found 2024-02-30, expected a date"),
        ("retrieval={dim: 8, dim: 9}", "retrieval.dim: comes twice"),
        ("retrieval.dim=[", "retrieval.dim: is no YAML"),
        ("retrieval.dim", "expected key=value"),
        ("=3", "expected key=value"),
        ("retrieval..dim=3", "expected key=value"),
        ("title.short=x", "'title' is a single value and has no keys below it"),
        ("retrieval.dim=!!int 8", None),
    ],
)
def test_a_set_value_is_read_as_strictly_as_the_file(setting, message):
    if message is None:
        load_domain(str(TINY), [setting])
        return
    with pytest.raises(UserError) as refused:
        load_domain(str(TINY), [setting])
    assert f"--set {setting}" in str(refused.value) and message in str(refused.value)
