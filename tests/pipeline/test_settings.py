"""Settings of the wrong type or size are refused with key, value and what is expected."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from components.ingest.errors import UserError
from pipeline.domain import Domain, load_domain

TINY = str(Path(__file__).parents[1] / "fixtures" / "tiny")


def _numbers(annotation: Any, bounds: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The bounds of each number that a field can hold; none of a value of the data, which may be text."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in (int, float):
        yield bounds
    elif origin is Annotated:
        yield from _numbers(arguments[0], (*bounds, *arguments[1:]))
    elif origin in (Union, UnionType) and str not in arguments:
        for one in arguments:
            yield from _numbers(one, bounds)
    elif origin not in (Union, UnionType):
        for one in arguments:
            yield from _numbers(one, ())


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in get_args(annotation):
        yield from _models(one)


def _all(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[tuple[str, FieldInfo]]:
    if model not in seen:
        seen.add(model)
        for name, field in model.model_fields.items():
            yield f"{model.__name__}.{name}", field
            for inner in _models(field.annotation):
                yield from _all(inner, seen)


FIELDS = [
    pytest.param(bounds, id=name)
    for name, field in _all(Domain, set())
    for bounds in _numbers(field.annotation, tuple(field.metadata))
]


def _flat(bounds: tuple[Any, ...]) -> Iterator[Any]:
    for one in bounds:
        yield from one.metadata if isinstance(one, FieldInfo) else (one,)


@pytest.mark.parametrize("bounds", FIELDS)
def test_every_number_of_a_domain_file_is_bounded_on_both_sides(bounds):
    kinds = {type(one) for one in _flat(bounds)}
    assert kinds & {Ge, Gt} and kinds & {Le, Lt}, "give the field ge or gt, and le or lt"


def test_the_walk_over_the_numbers_finds_those_within_lists_and_dictionaries():
    names = {param.id for param in FIELDS}
    assert {"RetrievalConfig.layers", "IALSGrid.alpha", "EvaluationConfig.floors", "Interval.low"} <= names
    assert len(names) > 80
    assert [*_numbers(tuple[int, ...] | None, ())] == [()]
    assert [*_numbers(int | str, ())] == [] and NoneType not in names


REFUSED = [
    ("retrieval.dim=on", "retrieval.dim: found 'on' (true); expected a whole number from 1 to 8,192"),
    ("retrieval.dim='64'", "retrieval.dim: found '64'; expected a whole number"),
    ("retrieval.dim=64.0", "retrieval.dim: found 64.0; expected a whole number"),
    ("retrieval.dim=1e3", "retrieval.dim: found 1e3; expected a whole number"),
    ("retrieval.dim=null", "retrieval.dim: found nothing (null); expected a whole number"),
    ("retrieval.dim=[64]", "retrieval.dim: found [64]; expected a whole number"),
    ("retrieval.dim={a: 1}", "retrieval.dim: found keys (a); expected a whole number"),
    ("retrieval.dim=2024-01-01", "retrieval.dim: found 2024-01-01; expected a whole number"),
    ("retrieval.layers=[64, 0]", "retrieval.layers.1: found 0; expected a whole number from 1"),
    ("ranking.layers=[no]", "ranking.layers.0: found 'no' (false); expected a whole number"),
    ("ranking.layers=64", "ranking.layers: found 64; expected a list, each of it a whole number from 1"),
    ("retrieval.bias=1", "retrieval.bias: found 1; expected true or false"),
    ("retrieval.bias='no'", "retrieval.bias: found 'no'; expected true or false"),
    ("ranking.learning_rate=-.inf", "ranking.learning_rate: found -.inf; expected a number above 0"),
    ("ranking.learning_rate=0", "ranking.learning_rate: found 0; expected a number above 0 and up to 100"),
    ("ranking.dropout=yes", "dropout: found 'yes' (true); expected a number of 0 or more and below 1"),
    ("retrieval.temperature=1e-30", "retrieval.temperature: found 1e-30; expected a number from 0.001"),
    ("alignment={distillation: {}, seed: -5}", "alignment.seed: found -5; expected a whole number from 0"),
    ("evaluation.baselines.seed=4294967296", "baselines.seed: found 4294967296; expected a whole number"),
    ("evaluation.baselines.ials_grid.alpha=[.nan]", "alpha.0: found .nan; expected a number above 0"),
    ("evaluation.baselines.ials_grid.alpha=[]", "ials_grid.alpha: found 0 of them; expected at least 1"),
    ("evaluation.max_regression=5", "found 5; expected a number of 0 or more and below 1: a share"),
    ("evaluation.floors={recommend/recall@10: 5}", "/recall@10 is 5, but that metric is from 0 to 1"),
    ("evaluation.ceilings={rating/rmse: -1}", "rating/rmse is -1, but that metric is 0 or more"),
    ("max_bad_fraction=5", "max_bad_fraction: found 5; expected a number of 0 or more and below 1: a share"),
    ("split={kind: time, eval: 10}", "split.eval: found 10; expected a number above 0 and below 1"),
    ("split={kind: random}", "split: found 'random' as its kind; expected one of time, leave"),
    ("split={eval: 0.1}", "split: 'kind' is missing; expected one of time"),
    ("serving.latency_p50_ms=1e400", "serving.latency_p50_ms: found 1e400; expected a number above 0"),
    ("tune.ranges={retrieval.dim: [true]}", "retrieval.dim: found true; expected a whole number from 1"),
    ("retrieval.history.encoder=yes", "encoder: found 'yes' (true); expected 'mean', 'attention' or 'none'"),
    ("interactions.query_id=2024-05-31", "found 2024-05-31; expected text: write '2024-05-31' for the text"),
    ("interactions.sources=log.csv", "sources: found 'log.csv'; expected a list, each of it a section"),
    ("interactions.since='86400'", "interactions.since: found '86400'; expected a date such as"),
    ("interactions.since=20240531", "interactions.since: found 20240531; expected a date such as"),
    ("interactions.actions={weights: {no: 1}}", "found a key 'no' (false); expected text: write 'no'"),
    ("interactions.actions={weights: {1: 1}}", "found a key 1; expected text: write '1'"),
    ("history.actions=[on]", "history.actions.0: found 'on' (true); expected text: write 'on' for the text"),
    ("yes=1", "yes: there is no such key"),
    ("retrieval=8", "retrieval: found 8; expected a section with keys such as dim"),
]  # fmt: skip


@pytest.mark.parametrize(("setting", "message"), REFUSED, ids=[setting for setting, _ in REFUSED])
def test_a_setting_of_the_wrong_type_or_size_is_refused_with_key_value_and_what_is_expected(setting, message):
    with pytest.raises(UserError) as refused:
        load_domain(TINY, [setting])
    assert message in str(refused.value)
    assert "pydantic" not in str(refused.value) and "Input should" not in str(refused.value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("retrieval.temperature=1", 1.0),
        ("retrieval.optimizer.learning_rate=1e-3", 0.001),
        ("retrieval.batch_size=1_024", 1024),
        ("retrieval.layers=[]", ()),
        ("retrieval.layers=null", None),
        ("interactions.since='2024-05-31'", "2024-05-31"),
        ("interactions.since=2024-05-31", "2024-05-31"),
        ("evaluation.max_regression=0", 0.0),
    ],
)
def test_a_number_or_date_may_be_written_in_each_usual_way(setting, value):
    found: Any = load_domain(TINY, [setting])
    for name in setting.partition("=")[0].split("."):
        found = getattr(found, name)
    assert (str(found) if "since" in setting else found) == value
    assert not isinstance(value, float) or math.isclose(found, value)


@pytest.mark.parametrize(
    "encoding",
    ["bz2", "zlib", "base64", "hex", "rot13", "uu", "quopri", "idna", "unicode_escape", "punycode",
     "undefined", "utf-80", "", "../x"],
)  # fmt: skip
def test_an_encoding_that_is_none_of_text_is_refused_with_its_key(encoding):
    with pytest.raises(
        UserError, match=r"candidates\.encoding: found .*expected one such as utf-8 or latin-1"
    ):
        load_domain(TINY, [f"candidates.encoding='{encoding}'"])


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "latin-1", "cp1252", "shift_jis", "utf-16", "koi8-r"])
def test_an_encoding_of_text_is_taken(encoding):
    load_domain(TINY, [f"candidates.encoding={encoding}"])


@pytest.mark.parametrize("text", ["", "tab", ";;", "\\n", "\\r", '\\"', "§", "1", "x", ".", "\\t\\t"])
def test_a_delimiter_that_could_not_cut_rows_is_refused_with_its_key(text):
    with pytest.raises(UserError, match=r"candidates\.delimiter: found .*expected (one|a) character"):
        load_domain(TINY, [f'candidates.delimiter="{text}"'])


@pytest.mark.parametrize(
    ("feature", "found"),
    [
        ("{kind: multivalent, separator: ''}", "separator: found ''; expected at least one character"),
        ("{kind: multivalent, separator: 0}", "separator: found 0; expected text: write '0'"),
        ("{kind: embedding, dim: 2, separator: ''}", "separator: found ''; expected at least one"),
        ("{kind: embedding, dim: 2, separator: '.'}", "separator: found '.'; expected what no number"),
        ("{kind: embedding, dim: 2, separator: '1'}", "separator: found '1'; expected what no number"),
        ("{kind: embedding, dim: 0}", "dim: found 0; expected a whole number from 1"),
        ("{kind: numeric, buckets: 1}", "buckets: found 1; expected a whole number from 2"),
        ("{kind: hash, bins: 1e12}", "bins: found 1e12; expected a whole number from 2"),
    ],
)
def test_a_feature_that_could_not_be_read_is_refused_with_its_key(feature, found):
    with pytest.raises(UserError) as refused:
        load_domain(TINY, [f"candidates.features.shape={feature}"])
    assert f"candidates.features.shape.{found}" in str(refused.value)
