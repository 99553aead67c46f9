"""The domain file: everything specific to a data set, said once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from components.alignment.config import AlignmentConfig, AlignmentTrainerConfig
from components.assemble.config import AssembleConfig
from components.assemble.signature_names import check_signature_names
from components.evaluate.config import EvaluationConfig
from components.ingest.declaration import Declaration
from components.ingest.errors import UserError
from components.ingest.gate.distributions import Distributions
from components.ranking.config import RankingConfig
from components.ranking.heads import Head, resolved_heads
from components.retrieval.config import RetrievalConfig
from components.validate_serving.config import ServingConfig
from pipeline.acquire import Acquire
from pipeline.setting_faults import setting_faults
from pipeline.tune.config import TuneConfig
from pipeline.yaml_text import MOST_BYTES, Yaml, YamlFault, read_yaml

SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"
"""Where the domains that come with Westwork live, a folder each."""
DOMAIN_FILE = "domain.yaml"


class Domain(Declaration):
    """A whole domain file: the data it declares, and what to make of it."""

    title: str = Field(description="What people call the data set.")
    acquire: Acquire | None = Field(default=None, description="Where the data can be had, if it can.")
    distributions: Distributions = Distributions()
    retrieval: RetrievalConfig = RetrievalConfig()
    ranking: RankingConfig = RankingConfig()
    alignment: AlignmentConfig | None = Field(
        default=None, description="What the towers learn from the ranker. Absent: nothing."
    )
    assemble: AssembleConfig = AssembleConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    serving: ServingConfig = ServingConfig()
    tune: TuneConfig = TuneConfig()
    demo: dict[str, Any] = Field(
        default_factory=dict,
        description="Dotted key to value: what `westwork run --demo` sets, to be done within minutes.",
    )

    name: str = Field(default="", description="The folder's name; not written in the file.")
    folder: Path = Field(default=Path(), description="Where the file is; not written in the file.")

    @field_validator("evaluation")
    @classmethod
    def _bounds_are_measured(cls, evaluation: EvaluationConfig, info: ValidationInfo) -> EvaluationConfig:
        # A section that is wrong itself is not there to hold the bounds against.
        if {"interactions", "ranking"} <= info.data.keys():
            interactions = info.data["interactions"]
            evaluation.check(interactions, resolved_heads(interactions, info.data["ranking"]))
        return evaluation

    @model_validator(mode="after")
    def _thresholds_are_of_features_there_are(self) -> Domain:
        self.distributions.check(self.declaration)
        return self

    @model_validator(mode="after")
    def _columns_can_be_served(self) -> Domain:
        check_signature_names(self.declaration)
        return self

    @model_validator(mode="after")
    def _queries_can_be_told_apart(self) -> Domain:
        self.retrieval.check(self.declaration.query_features)
        return self

    @model_validator(mode="after")
    def _corrections_are_of_what_is_declared(self) -> Domain:
        self.ranking.check(self.interactions)
        if self.retrieval.debias:
            self.retrieval.debias.check(self.interactions)
        return self

    @model_validator(mode="after")
    def _target_can_load_the_index(self) -> Domain:
        self.serving.check(self.assemble)
        return self

    @model_validator(mode="after")
    def _heads_and_filters_are_declared(self) -> Domain:
        light = self.retrieval.light_ranker is not None
        self.assemble.check(self.declaration, self.heads, light_ranker=light)
        return self

    @model_validator(mode="after")
    def _ranker_has_something_to_teach(self) -> Domain:
        if self.alignment:
            self.alignment.check(self.assemble.weights)
        return self

    @property
    def heads(self) -> tuple[Head, ...]:
        """What the ranker predicts."""
        return resolved_heads(self.interactions, self.ranking)

    @property
    def aligned(self) -> AlignmentTrainerConfig | None:
        """What the towers learn from the ranker, and what that follows from; None where they do not."""
        if self.alignment is None:
            return None
        return AlignmentTrainerConfig(
            **self.alignment.model_dump(),
            retrieval=self.retrieval,
            repeats=self.evaluation.repeats,
            rank_history=self.assemble.rank_history,
            heads=self.heads,
            weights=self.assemble.weights,
            combination=self.assemble.combination,
            retrieve=self.assemble.retrieve,
            keep=self.assemble.keep,
        )

    @property
    def declaration(self) -> Declaration:
        """The data half alone: steps get no more, so that tuning a model invalidates no ingestion."""
        return Declaration(**{name: getattr(self, name) for name in Declaration.model_fields})

    @property
    def demo_overrides(self) -> tuple[str, ...]:
        """The ``demo`` section as overrides for :func:`load_domain`."""
        return tuple(f"{key}={json.dumps(value, default=str)}" for key, value in self.demo.items())


def load_domain(name_or_path: str, overrides: Sequence[str] = ()) -> Domain:
    """Reads a domain file.

    Args:
        name_or_path: A folder's name under ``schemas/``, or the path of a folder that holds a
            ``domain.yaml``, or of such a file.
        overrides: ``key=value`` settings, the key dotted (``retrieval.epochs=3``), the value YAML. They
            replace what the file says.

    Raises:
        UserError: If there is no such domain, or the file or an override is wrong. Names the key.
    """
    path = _find(name_or_path)
    document = _read(path)
    content = document.content
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: found {_kind(content)}; expected keys such as 'interactions:'. Is it a domain file?"
        )
    for reserved in ("name", "folder"):
        if reserved in content:
            raise UserError(f"{path}: key {reserved!r} is not for the file: the folder says it. Remove it.")
    for override in overrides:
        _set(document, override)
    _refuse_keys_that_are_no_text(path, document)
    try:
        return Domain(**content, name=path.parent.name, folder=path.parent)
    except ValidationError as error:
        raise UserError(_explain(path, error, document, overrides)) from error


def _read(path: Path) -> Yaml:
    """A domain file's content.

    Raises:
        UserError: If it cannot be read as YAML.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(
                f"{path}: found {path.stat().st_size:,} bytes; expected a domain file, which has some "
                "thousands. Name the domain.yaml, or its folder."
            )
        return read_yaml(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}. Make it readable.") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: found byte 0x{error.object[error.start]:02x} at {error.start:,}, which is no UTF-8; "
            "expected a text file in UTF-8. Save it as UTF-8, or name the domain.yaml."
        ) from error
    except YamlFault as fault:
        raise UserError(f"{path}: {fault}.") from fault


def _kind(content: Any) -> str:
    """What stands in a file where keys belong."""
    if content is None:
        return "nothing"
    return "a list" if isinstance(content, list) else "a single value"


def _refuse_keys_that_are_no_text(path: Path, document: Yaml) -> None:
    """Refuse top-level keys such as ``on``, which Python could not take as a name of a field."""
    for key in document.content:
        if not isinstance(key, str):
            text = document.written[key, "[key]"].text
            raise UserError(f"{path}: found a key {text!r}; expected one such as 'interactions'. Remove it.")


def available_domains() -> list[str]:
    """Names of the domains under ``schemas/``."""
    return sorted(path.parent.name for path in SCHEMAS.glob(f"*/{DOMAIN_FILE}"))


def _find(name_or_path: str) -> Path:
    given = Path(name_or_path)
    for path in (SCHEMAS / name_or_path / DOMAIN_FILE, given / DOMAIN_FILE, given):
        # A name that no file system takes (too long, a loop of links) is no file either.
        with contextlib.suppress(OSError, ValueError):
            if path.is_file():
                return path.resolve()
    raise UserError(
        f"no domain {name_or_path[:200]!r}: expected one of {', '.join(available_domains())}, or the path of "
        f"a folder with a {DOMAIN_FILE}"
    )


def parse_setting(override: str) -> tuple[str, Any]:
    """The key and the value, parsed as YAML, of a ``key=value``.

    Raises:
        UserError: If it is none.
    """
    key, document = _parse_setting(override)
    return key, document.content


def _parse_setting(override: str) -> tuple[str, Yaml]:
    key, separator, text = override.partition("=")
    key = key.strip()
    if not separator or not all(part.strip() for part in key.split(".")):
        raise UserError(f"--set {override}: expected key=value, such as retrieval.epochs=3")
    try:
        return key, read_yaml(text)
    except YamlFault as fault:
        place = ".".join(filter(None, (key, fault.key)))
        raise UserError(f"--set {override}: {place}: {fault.message}.") from fault


def _set(document: Yaml, override: str) -> None:
    """Puts one ``a.b=value`` into the nested content."""
    key, value = _parse_setting(override)
    *parents, last = path = key.split(".")
    place = document.content
    for parent in parents:
        if place.get(parent) is None:
            place[parent] = {}
        place = place[parent]
        if not isinstance(place, dict):
            raise UserError(f"--set {override}: {parent!r} is a single value and has no keys below it")
    place[last] = value.content
    document.written = {
        **{at: said for at, said in document.written.items() if at[: len(path)] != tuple(path)},
        **{(*path, *at): said for at, said in value.written.items()},
    }


def _explain(path: Path, error: ValidationError, document: Yaml, overrides: Sequence[str]) -> str:
    """All that is wrong with a domain file, a line each: key, value found, what was expected."""
    lines = [f"{path}{' with ' + ' '.join(overrides) if overrides else ''}:"]
    for key, fault in setting_faults(error, Domain, document.content, document.written):
        lines.append(f"  {key or 'the file'}: {fault}")
    return "\n".join(lines)
