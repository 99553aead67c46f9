"""docs/domain.md knows every key there is."""

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from components.ingest.declaration import Declaration
from pipeline.domain import Domain

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def models(annotation):
    """All pydantic models an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for part in get_args(annotation) for model in models(part)}


def keys(model):
    """Every key a model and the models inside it accept."""
    found = set()
    for name, field in model.model_fields.items():
        found.add(name)
        for inner in models(field.annotation):
            found |= keys(inner)
    return found


@pytest.mark.parametrize("key", sorted(keys(Domain) - {"name", "folder"}))
def test_every_key_of_the_domain_file_is_documented(key):
    assert re.search(rf"\b{re.escape(key)}\b", (DOCS / "domain.md").read_text())


def test_the_minimal_example_is_a_valid_declaration():
    import yaml

    example = re.search(r"```yaml\n(title: Our shop.*?)```", (DOCS / "domain.md").read_text(), re.DOTALL)
    content = yaml.safe_load(example.group(1))
    assert content.pop("title") == "Our shop"
    assert Declaration(**content).queries.id == "user"
