"""The kinds of features a domain file can declare: how one column becomes model input."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from components.ingest.files.time_format import refuse_unreadable_format
from components.ingest.strict import Strict
from components.ingest.text_settings import NumberSeparator, Separator


class VocabularyFeature(Strict):
    """A category looked up in a vocabulary of its most frequent values; the rest share the unknown one."""

    kind: Literal["vocabulary"]
    top_k: int | None = Field(default=None, gt=0, le=100_000_000, description="Keep only this many values.")
    oov_buckets: int = Field(
        default=1,
        gt=0,
        le=1_000_000,
        description="Unknown values are hashed into this many; 1 makes them all alike.",
    )


class HashFeature(Strict):
    """A category hashed into a fixed number of bins; needs no vocabulary."""

    kind: Literal["hash"]
    bins: int = Field(gt=1, le=10_000_000)


class NumericFeature(Strict):
    """A number, standardised, or cut into quantile buckets. A missing value counts as the mean."""

    kind: Literal["numeric"]
    scale: Literal["z_score", "log1p", "buckets"] = Field(
        default="z_score", description="log1p standardises log(1 + x)."
    )
    buckets: int = Field(default=10, gt=1, le=10_000, description="Number of quantile buckets; buckets only.")


class MultivalentFeature(Strict):
    """Several categories in one cell, split at the separator (a Parquet list needs none)."""

    kind: Literal["multivalent"]
    separator: Separator = "|"
    max_values: int = Field(default=8, gt=0, le=10_000, description="Values past this many are left out.")


class TextFeature(Strict):
    """Words, lower-cased and split at anything that is neither letter nor digit."""

    kind: Literal["text"]
    top_k: int = Field(
        default=20_000, gt=0, le=100_000_000, description="Vocabulary size, most frequent words first."
    )
    max_tokens: int = Field(default=16, gt=0, le=10_000, description="Words past this many are left out.")


TimePart = Literal["hour_of_day", "day_of_week", "day_of_month", "month_of_year"]


class TimestampFeature(Strict):
    """A moment (UTC), encoded as sine and cosine of its position in each cycle."""

    kind: Literal["timestamp"]
    parts: tuple[TimePart, ...] = Field(default=("hour_of_day", "day_of_week"), min_length=1)
    format: str | None = Field(
        default=None,
        description="How text writes it, in strptime's codes, or `rfc2822`; absent: seconds since 1970, or "
        "ISO 8601 and its like.",
    )

    _format_can_be_read = field_validator("format")(refuse_unreadable_format)


class EmbeddingFeature(Strict):
    """A vector computed elsewhere (an image's, a description's); a missing one counts as all zeros."""

    kind: Literal["embedding"]
    dim: int = Field(gt=0, le=65_536, description="Numbers in each vector.")
    separator: NumberSeparator = Field(
        default=" ",
        description="Between the numbers of a text cell (a Parquet list needs none).",
    )


Feature = Annotated[
    VocabularyFeature
    | HashFeature
    | NumericFeature
    | MultivalentFeature
    | TextFeature
    | TimestampFeature
    | EmbeddingFeature,
    Field(discriminator="kind"),
]
"""How one column becomes model input; the key it stands under is the column's name."""
