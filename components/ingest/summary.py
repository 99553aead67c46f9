"""What ingestion did, for people and for the report."""

from __future__ import annotations

import os

from tfx.dsl.io import fileio

from components.ingest.strict import Strict

SUMMARY_FILE = "ingestion.json"
"""Name within the examples artifact, beside the splits."""


class SplitSummary(Strict):
    """One split of the interaction stream."""

    count: int
    """Number of interactions."""
    positives: int
    """How many of them are positive."""
    queries: int
    """How many distinct queries (users) they are of."""
    first: int
    """Earliest timestamp, seconds since 1970 UTC."""
    last: int
    """Latest timestamp, seconds since 1970 UTC."""


class IngestionSummary(Strict):
    """What became of the event log."""

    files: tuple[str, ...]
    """The event log's files."""
    rows: int
    """Rows read; ``bad`` of them are dead letters, all others are in a split."""
    bad: int
    bad_by_reason: dict[str, int]
    candidates: int
    """Size of the catalogue."""
    eval_from: int | None
    """First timestamp of the eval split; None where no row could be used."""
    test_from: int | None
    """First timestamp of the test split; None where no row could be used."""
    splits: dict[str, SplitSummary]
    """Name to split, oldest first; a split without interactions is not there."""
    unreadable: tuple[str, ...] = ()
    """Why files could not be read to their end; always empty once the step has succeeded."""


def write_ingestion_summary(summary: IngestionSummary, uri: str) -> None:
    """Writes the summary into an examples artifact."""
    with fileio.open(os.path.join(uri, SUMMARY_FILE), "w") as file:
        file.write(summary.model_dump_json(indent=2) + "\n")


def read_ingestion_summary(uri: str) -> IngestionSummary:
    """Reads the summary InteractionGen left in its examples artifact.

    Args:
        uri: The artifact's directory.
    """
    with fileio.open(os.path.join(uri, SUMMARY_FILE)) as file:
        return IngestionSummary.model_validate_json(file.read())
