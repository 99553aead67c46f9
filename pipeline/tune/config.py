"""The ``tune`` section of a domain file: which settings are searched for, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, get_args

from pydantic import (
    BaseModel,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from components.ingest.strict import Seed, Strict
from components.retrieval.config import RetrievalConfig
from pipeline.setting_faults import setting_faults

SECTION: Final = "retrieval"
"""The section of the domain file whose settings are searched for."""
_NOT_SEARCHED: Final = {
    "seed": "a lucky seed is not a better model",
    "strategy": "it changes nothing that is learnt",
    "validation_queries": "trials have to be measured alike",
}


Limit = Annotated[float, Field(ge=-1_000_000_000_000, le=1_000_000_000_000)]


class Interval(Strict):
    """Numbers from one to another, both included; whole ones where the setting is one."""

    low: Limit = Field(description="The lowest.")
    high: Limit = Field(description="The highest.")
    log: bool = Field(default=False, description="Draw evenly by order of magnitude.")

    @model_validator(mode="after")
    def _holds_numbers(self) -> Interval:
        if self.low >= self.high:
            raise ValueError(f"'low' is {self.low:g}, not below 'high', {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"'log' draws from above 0, and 'low' is {self.low:g}")
        return self


Choices = Annotated[tuple[Any, ...], Field(min_length=1)]


def _kind(given: Any) -> str:
    return "interval" if isinstance(given, Interval | dict) else "choices"


Range = Annotated[
    Annotated[Interval, Tag("interval")] | Annotated[Choices, Tag("choices")], Discriminator(_kind)
]

DEFAULT_RANGES: Final[Mapping[str, Interval | tuple[Any, ...]]] = {
    "retrieval.similarity": ("dot", "cosine"),
    "retrieval.temperature": Interval(low=0.05, high=1, log=True),
    "retrieval.layers": (None, [], [128]),
    "retrieval.history.encoder": ("mean", "attention"),
    "retrieval.history.half_life": (None, 3, 10, 30),
    "retrieval.loss.uniform_negatives": (0, 256, 1024),
    "retrieval.optimizer.learning_rate": Interval(low=0.0005, high=0.02, log=True),
    "retrieval.batch_size": (256, 1024, 4096),
    "retrieval.id_dropout": Interval(low=0, high=0.4),
    "retrieval.dropout": Interval(low=0, high=0.5),
    "retrieval.l2": (0.0, 0.00001, 0.0001),
}
"""Where the search looks unless a domain file says so itself. No ``dim``: it has a price in serving."""


class TuneConfig(Strict):
    """Where ``westwork tune`` looks; the ``tune`` section of a domain file."""

    ranges: dict[str, Range] = Field(
        default_factory=dict,
        description="Dotted key to the values tried: a list, or an interval. Empty: the default ones.",
    )
    prune: bool = Field(
        default=True, description="Whether trials far behind earlier ones are stopped (successive halving)."
    )
    seed: Seed = Field(default=17, description="Of the draws.")

    @field_validator("ranges")
    @classmethod
    def _settings_take_the_values(cls, ranges: dict[str, Range]) -> dict[str, Range]:
        for key, values in ranges.items():
            field = setting(key)
            if isinstance(values, Interval):
                if not _numbers(field):
                    raise ValueError(f"{key} is no number: list its values, such as [{field.default!r}]")
                ends = (values.low, values.high)
                whole = is_whole(field) and all(end.is_integer() for end in ends)
                values = tuple(map(int, ends)) if whole else ends
            for value in values:
                _check(key, field, value)
        return ranges

    @property
    def searched(self) -> Mapping[str, Interval | tuple[Any, ...]]:
        """The ranges, or the default ones."""
        return self.ranges or DEFAULT_RANGES


def setting(key: str) -> FieldInfo:
    """The setting of a dotted key such as ``retrieval.optimizer.learning_rate``.

    Raises:
        ValueError: If there is none, or it is not one to be searched for.
    """
    section, *path = key.split(".")
    if section != SECTION or not path:
        raise ValueError(f"{key}: expected a key of the section '{SECTION}', such as {SECTION}.temperature")
    model: type[BaseModel] = RetrievalConfig
    for at, name in enumerate(path):
        place = ".".join([SECTION, *path[:at]])
        if name not in model.model_fields:
            raise ValueError(
                f"{key}: there is no {name!r} in {place!r}. Expected one of {', '.join(model.model_fields)}"
            )
        field = model.model_fields[name]
        inner = field.annotation
        if at == len(path) - 1:
            if _is_section(inner):
                raise ValueError(f"{key} is a section: name one of its keys, such as {key}.{_first(inner)}")
            if name in _NOT_SEARCHED and len(path) == 1:
                raise ValueError(f"{key} is not searched for: {_NOT_SEARCHED[name]}")
            return field
        if not _is_section(inner):
            raise ValueError(f"{key}: {place}.{name} is a single value and has no keys below it")
        model = inner  # type: ignore[assignment]
    raise AssertionError("a path has at least one part")


def is_whole(field: FieldInfo) -> bool:
    """Whether the setting is a whole number."""
    return int in _numbers(field)


def _numbers(field: FieldInfo) -> set[type]:
    """Which of int and float the setting's type allows."""
    return {int, float} & {field.annotation, *get_args(field.annotation)}


def _check(key: str, field: FieldInfo, value: Any) -> None:
    # A model of its own, not the type alone: it is the models that are strict.
    form: Any = Annotated[field.annotation, field]
    alone: type[BaseModel] = create_model("Setting", __base__=Strict, value=(form, ...))
    try:
        alone.model_validate({"value": value})
    except ValidationError as error:
        faults = setting_faults(error, alone, {"value": value}, {})
        raise ValueError(f"{key}: {next(faults)[1].removesuffix('.')}") from error


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _first(model: Any) -> str:
    return next(iter(model.model_fields))


def read_setting(config: RetrievalConfig, key: str) -> Any:
    """The value that a configuration has for a dotted key, as plain data."""
    value: Any = config.model_dump(mode="json")
    for name in key.split(".")[1:]:
        value = value[name]
    return value


def with_settings(config: RetrievalConfig, settings: Mapping[str, Any]) -> RetrievalConfig:
    """A configuration with some of its settings changed.

    Args:
        config: The configuration.
        settings: Dotted key to value.

    Raises:
        ValueError: If they do not fit each other.
    """
    content = config.model_dump()
    for key, value in settings.items():
        *parents, last = key.split(".")[1:]
        place = content
        for name in parents:
            place = place[name]
        place[last] = value
    try:
        return RetrievalConfig.model_validate(content)
    except ValidationError as error:
        why = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise ValueError(why) from error
