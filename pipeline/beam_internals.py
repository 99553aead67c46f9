"""Two of Beam's own functions, remembered: for each stage they ask the same of the same things.

Building and starting a Beam pipeline takes seconds whatever its data, and a run builds seven. Of the CPU
seconds of a run on small data a seventh went into ``inspect.signature`` of the same methods, and into an
``argparse`` parser of all of Beam's options for each look at them (``benchmarks/small_run.py``).
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import core

_Arguments = tuple[list[str], list[Any]]


def remember() -> None:
    """Makes Beam remember both in this process; a second call changes nothing."""
    if not hasattr(core.get_function_args_defaults, "__wrapped__"):
        core.get_function_args_defaults = remembered_arguments(  # type: ignore[assignment]
            core.get_function_args_defaults
        )
        PipelineOptions.view_as = remembered_views(PipelineOptions.view_as)  # type: ignore[method-assign]


def remembered_arguments(plain: Callable[[Any], _Arguments]) -> Callable[[Any], _Arguments]:
    """Beam's look at a function's arguments, made once for each function that can have but one answer."""
    known: WeakKeyDictionary[types.FunctionType, dict[bool, _Arguments]] = WeakKeyDictionary()

    def arguments(function: Any) -> _Arguments:
        bound = isinstance(function, types.MethodType)
        underlying = function.__func__ if bound else function
        if not isinstance(underlying, types.FunctionType):
            return plain(function)
        answers = known.setdefault(underlying, {})
        if bound not in answers:
            answers[bound] = plain(function)
        names, defaults = answers[bound]
        return list(names), list(defaults)

    arguments.__wrapped__ = plain  # type: ignore[attr-defined]
    return arguments


def remembered_views(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Beam's view of options as one of their classes: all views of an object share their values anyway."""
    known: WeakKeyDictionary[PipelineOptions, dict[type, Any]] = WeakKeyDictionary()

    def view_as(options: PipelineOptions, cls: type) -> Any:
        views = known.setdefault(options, {})
        if cls not in views:
            views[cls] = plain(options, cls)
        return views[cls]

    return view_as
