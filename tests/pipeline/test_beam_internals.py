"""What Beam is made to remember is what it finds anew."""

import functools
import gc
import weakref

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    TypeOptions,
)
from apache_beam.transforms import core

from pipeline.beam_internals import remember, remembered_arguments, remembered_views

PLAIN = getattr(core.get_function_args_defaults, "__wrapped__", core.get_function_args_defaults)


class Sums(beam.DoFn):
    def process(self, element, extra=3, *others, window=beam.DoFn.WindowParam):
        yield element + extra

    @staticmethod
    def still(a, b=1):
        return a, b

    @functools.wraps(process)
    def wrapped(self, *given, **named):
        return self.process(*given, **named)


@pytest.mark.parametrize(
    "function",
    [
        Sums.process,
        Sums().process,
        Sums.still,
        Sums().still,
        Sums().wrapped,
        Sums.wrapped,
        len,
        functools.partial(Sums.still, 1),
        lambda x, y=beam.DoFn.TimestampParam: x,
        Sums,
    ],
)
def test_arguments_are_those_that_beam_finds_each_time(function):
    remembered = remembered_arguments(PLAIN)
    try:
        expected = PLAIN(function)
    except ValueError:
        with pytest.raises(ValueError):
            remembered(function)
        return
    for _ in range(3):
        names, defaults = remembered(function)
        assert (names, defaults) == expected
        # Whoever changes what was found changes it for himself.
        names.append("more")
        defaults.clear()


def test_bound_and_unbound_are_told_apart():
    remembered = remembered_arguments(PLAIN)
    assert remembered(Sums.process)[0] == ["self", "element", "extra"]
    assert remembered(Sums().process)[0] == ["element", "extra"]


def test_a_function_is_not_kept():
    remembered = remembered_arguments(PLAIN)

    def short(x):
        return x

    gone = weakref.ref(short)
    remembered(short)
    del short
    gc.collect()
    assert gone() is None


def test_all_views_of_options_share_their_values(monkeypatch):
    plain = PipelineOptions.view_as
    monkeypatch.setattr(PipelineOptions, "view_as", remembered_views(plain))
    options = PipelineOptions(["--runner=FnApiRunner", "--direct_num_workers=3"])
    direct = options.view_as(DirectOptions)
    assert (direct.direct_num_workers, options.view_as(StandardOptions).runner) == (3, "FnApiRunner")
    direct.direct_num_workers = 5
    assert options.view_as(DirectOptions).direct_num_workers == 5
    options.view_as(StandardOptions).view_as(SetupOptions).save_main_session = True
    assert options.view_as(SetupOptions).save_main_session is True
    other = PipelineOptions(["--direct_num_workers=7"])
    assert other.view_as(DirectOptions).direct_num_workers == 7
    assert options.get_all_options() == plain(options, TypeOptions).get_all_options()


def test_pipelines_give_what_they_gave():
    def count() -> list[tuple[str, int]]:
        from apache_beam.testing.util import assert_that, equal_to

        with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
            counted = pipeline | beam.Create(["a", "b", "a"]) | beam.combiners.Count.PerElement()
            summed = pipeline | "numbers" >> beam.Create([1, 2]) | beam.ParDo(Sums(), extra=10)
            assert_that(counted, equal_to([("a", 2), ("b", 1)]))
            assert_that(summed, equal_to([11, 12]), label="sums")

    remember()
    count()
    once = core.get_function_args_defaults
    remember()
    assert core.get_function_args_defaults is once
    count()
