"""What is added to the cascade, one variant at a time: ``benchmarks/configurations/funnel.yaml``."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import Field, ValidationError, model_validator

from components.ingest.errors import UserError
from components.ingest.strict import Strict
from pipeline.domain import Domain, load_domain

CONFIGURATION: Final = Path(__file__).parent.parent / "configurations" / "funnel.yaml"
RANKER: Final = "ranker"
"""The variant that adds nothing: the domain as it is."""
RETRIEVAL_ONLY: Final = "retrieval"
"""What the ranker is added to: the same model's retrieval alone."""


class Variant(Strict):
    """One addition to the cascade."""

    settings: dict[str, Any] = Field(description="Dotted key of the domain file to value: what it sets.")
    data: tuple[str, ...] | None = Field(default=None, description="Data sets it makes sense for; all.")
    against: str = Field(default=RANKER, description="The variant it is added to.")
    seeds: tuple[str, ...] = Field(default=(), description="Dotted keys that a seed sets, too.")


class Configuration(Strict):
    """Which data sets and variants there are."""

    seeds: tuple[str, ...] = Field(description="Dotted keys that a seed sets, of every measurement.")
    everywhere: dict[str, Any] = Field(
        default_factory=dict, description="Dotted key to value: what every measurement sets."
    )
    data: dict[str, dict[str, Any]] = Field(
        description="Domain to what every measurement of it sets beside its `demo` section."
    )
    variants: dict[str, Variant] = Field(description="Name to variant, in the table's order.")

    @model_validator(mode="after")
    def _variants_are_added_to_others(self) -> Configuration:
        known = [RANKER]
        for name, variant in self.variants.items():
            if name in (RANKER, RETRIEVAL_ONLY):
                raise ValueError(f"variants: {name!r} is the cascade as it is; name the variant otherwise")
            if variant.against not in known:
                raise ValueError(
                    f"variants.{name}.against: found {variant.against!r}; expected a variant above it: "
                    f"{', '.join(known)}"
                )
            for data in variant.data or ():
                if data not in self.data:
                    raise ValueError(
                        f"variants.{name}.data: found {data!r}; expected some of {', '.join(self.data)}"
                    )
            known.append(name)
        return self

    def against(self, variant: str) -> str:
        """What a variant is added to."""
        return RETRIEVAL_ONLY if variant == RANKER else self.variants[variant].against

    def variants_of(self, data: str, wanted: Sequence[str] | None) -> list[str]:
        """The variants that are measured of a data set, each after what it is added to.

        Args:
            data: The data set.
            wanted: Some of the variants; None for all. What those are added to is measured too.
        """
        named = [
            name
            for name in (self.variants if wanted is None else wanted)
            if name != RANKER and data in (self.variants[name].data or self.data)
        ]
        names = {RANKER, *named}
        for name in named:
            while name != RANKER:
                name = self.variants[name].against
                names.add(name)
        return [name for name in (RANKER, *self.variants) if name in names]

    def overrides(self, data: str, variant: str, seed: int, sample: int | None) -> tuple[str, ...]:
        """What is set beside the domain file, for :func:`pipeline.domain.load_domain`.

        Args:
            data: The data set.
            variant: What is added.
            seed: Of everything that is drawn.
            sample: Evaluate at most so many interactions; None for as many as the domain says.
        """
        chain = self._chain(variant)
        seeds = [*self.seeds, *(key for added in chain for key in added.seeds)]
        settings = {
            **self.everywhere,
            **self.data[data],
            **{key: value for added in chain for key, value in added.settings.items()},
            **dict.fromkeys(seeds, seed),
            **({} if sample is None else {"evaluation.max_interactions": sample}),
        }
        return (*_demo_overrides(data), *_overrides(settings))

    def domain(self, data: str, variant: str, seed: int, sample: int | None) -> Domain:
        """The domain with all that is set.

        Raises:
            UserError: If a key or a value is wrong.
        """
        return load_domain(data, self.overrides(data, variant, seed, sample))

    def _chain(self, variant: str) -> list[Variant]:
        """A variant after all that it is added to."""
        if variant == RANKER:
            return []
        return [*self._chain(self.variants[variant].against), self.variants[variant]]


@functools.cache
def _demo_overrides(data: str) -> tuple[str, ...]:
    return load_domain(data).demo_overrides


def _overrides(settings: Mapping[str, Any]) -> list[str]:
    return [f"{key}={json.dumps(value, default=str)}" for key, value in settings.items()]


def read_configuration(path: Path) -> Configuration:
    """Reads a configuration.

    Raises:
        UserError: If there is none, or it is wrong; names the key.
    """
    try:
        return Configuration.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML: {error}") from error
    except ValidationError as error:
        said = [f"  {'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors()]
        raise UserError("\n".join([f"{path}:", *said])) from error
