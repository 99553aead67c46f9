"""Gives an assembled model another index, without its data, its training or its run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from pydantic import ValidationError

from components.assemble.build_index import build_index
from components.assemble.catalogue_file import CATALOGUE_FILE
from components.assemble.config import HEADS_JSON, AssembleConfig
from components.assemble.filters import Filters
from components.assemble.index_report import IndexReport
from components.assemble.models import has_light_ranker
from components.assemble.recommender import Recommender
from components.assemble.saved import read_tuning_queries, write_model
from components.ingest.declaration import Declaration
from components.ingest.errors import UserError
from serving.contract import DESCRIPTION_FILE, EXTRA


def switch_index(source: str, target: str, changes: Mapping[str, Any]) -> IndexReport:
    """Writes a copy of a model with another index.

    All that is needed is in the SavedModel: the embeddings, the functions that do not depend on the index
    (:class:`components.assemble.models.Models`), and beside it the queries to tune on and the settings. So
    it works on any model the Assembler wrote, wherever it was copied to and whatever became of its run.

    Args:
        source: The SavedModel's directory.
        target: Where to write the new one; must not be a directory yet.
        changes: Keys of the assemble section and their new values; the others stay as they were.

    Returns:
        What became of the index.

    Raises:
        UserError: If the source cannot be read, is not the Assembler's, or a change is not valid.
    """
    description = _description(source)
    try:
        declaration = Declaration.model_validate(description["declaration"])
        heads = HEADS_JSON.validate_python(description["heads"])
        config = AssembleConfig.model_validate({**description["assemble"], **changes})
    except KeyError as error:
        raise _not_ours(source, f"{DESCRIPTION_FILE} has no {error}") from error
    except ValidationError as error:
        raise UserError(f"cannot give {source} another index: {_in_words(error)}") from error
    if description.get("index") == "scann":
        # Registers the ops its graph is made of.
        from scann import scann_ops  # noqa: F401
    try:
        loaded = tf.saved_model.load(source)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise UserError(f"{source} cannot be loaded as a SavedModel: {error}") from error
    try:
        models, ids, embeddings = loaded.models, loaded.ids, loaded.exact.embeddings
        config.check(declaration, heads, light_ranker=has_light_ranker(models))
        filters = _kept_filters(loaded, declaration, config)
    except AttributeError as error:
        raise _not_ours(source, str(error)) from error
    except ValueError as error:
        raise UserError(f"cannot give {source} another index: {error}") from error
    queries = read_tuning_queries(source)
    built = build_index(embeddings.value(), queries, config, ids.numpy())
    parts = (declaration, models, ids.value(), built.exact, built.index, filters, heads, config)
    recommender = Recommender(*parts)
    with tf.io.gfile.GFile(os.path.join(source, EXTRA, CATALOGUE_FILE), "rb") as file:
        others = {CATALOGUE_FILE: file.read()}
    write_model(target, recommender, built.report, declaration, heads, config, queries, others)
    return built.report


def _kept_filters(loaded: tf.Module, declaration: Declaration, config: AssembleConfig) -> Filters:
    held = loaded.filters.by_feature
    for name in config.filters:
        if name not in held:
            raise UserError(
                f"cannot give the model another index: assemble.filters: it holds no values of {name!r}; "
                f"expected some of: {', '.join(held) or 'none'}. `westwork run` assembles with others."
            )
    return Filters.of_loaded(declaration, loaded.filters, config.filters)


def _description(source: str) -> dict[str, Any]:
    name = os.path.join(source, EXTRA, DESCRIPTION_FILE)
    try:
        with tf.io.gfile.GFile(name) as file:
            return json.load(file)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise _not_ours(source, f"{name} cannot be read: {error}") from error


def _not_ours(source: str, found: str) -> UserError:
    return UserError(
        f"{source} is not a model whose index can be changed: {found}. Expected one that this version of "
        "Westwork assembled; `westwork run` assembles again without training again."
    )


def _in_words(error: ValidationError) -> str:
    return "; ".join(
        f"assemble.{'.'.join(map(str, problem['loc']))}: found {problem['input']!r}; {problem['msg']}"
        if problem["loc"]
        else f"assemble: {problem['msg']}"
        for problem in error.errors()
    )
