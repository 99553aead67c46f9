"""The base of everything that is declared in a domain file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A declaration that knows all its keys and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
