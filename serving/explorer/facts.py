"""What the page is told about a version: names and kinds, as its description has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.errors import ModelError
from serving.explorer.catalogue import MOST_VALUES, Catalogue
from serving.model_files import ModelFiles

_WITH_VOCABULARY = ("vocabulary", "multivalent")
_USERS_NAMED = 6


def facts(files: ModelFiles, catalogue: Catalogue) -> dict[str, Any]:
    """Describes a version in JSON's types.

    Args:
        files: The version's.
        catalogue: Its candidates.

    Returns:
        ``candidates``, ``index``, ``retrieve`` (how many candidates are ranked for one list), ``rated``;
        ``query_id``; ``moment``, the query feature that says when the request is made, if one does;
        ``query_features`` and ``features``, each a ``name``, its ``kind`` and what its ``values`` can be
        chosen from, the candidates' title not among them; ``history``, its ``length`` and the ``actions``
        that tell its events apart; and some ``users``, the most active.

    Raises:
        ModelError: If the description lacks something.
    """
    try:
        description = files.description
        declaration = description["declaration"]
        log, candidates = declaration["interactions"], declaration["candidates"]
        moment = log["timestamp"]["column"]
        shown = [name for name in catalogue.features if name != candidates["title"]]
        return {
            "candidates": len(catalogue),
            "index": description["index"],
            "retrieve": description["assemble"]["retrieve"],
            "rated": log["rating"] is not None,
            "query_id": log["query_id"],
            "moment": moment if moment in log["context"] else None,
            "query_features": [_of_query(files, *feature) for feature in _query_features(declaration)],
            "features": [
                {
                    "name": name,
                    "kind": candidates["features"][name]["kind"],
                    "values": catalogue.values(name),
                }
                for name in shown
            ],
            "history": {"length": declaration["history"]["length"], "actions": _told_actions(declaration)},
            "users": users(files)[:_USERS_NAMED],
        }
    except KeyError as error:
        raise ModelError(
            f"the description of {files.path} has no {error}. Expected a model pushed by Westwork."
        ) from error


def users(files: ModelFiles) -> list[str]:
    """Ids of the users in train, the most active first."""
    return files.vocabulary(f"query_{files.description['declaration']['interactions']['query_id']}")


def _query_features(declaration: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and kind of what describes a query: its context, then its attributes."""
    tables = [declaration["interactions"]["context"], (declaration["queries"] or {}).get("features", {})]
    return [(name, feature["kind"]) for table in tables for name, feature in table.items()]


def _of_query(files: ModelFiles, name: str, kind: str) -> dict[str, Any]:
    values = files.vocabulary(f"query_{name}")[:MOST_VALUES] if kind in _WITH_VOCABULARY else []
    return {"name": name, "kind": kind, "values": values}


def _told_actions(declaration: Mapping[str, Any]) -> list[str]:
    """The actions that ``history_action`` tells apart; none where there is but one."""
    weights = (declaration["interactions"]["actions"] or {}).get("weights", {})
    chosen = declaration["history"]["actions"]
    told = [action for action, weight in weights.items() if (action in chosen if chosen else weight > 0)]
    return told if len(told) > 1 else []
