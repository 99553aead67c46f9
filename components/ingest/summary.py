"""What ingestion did, for people and for the report."""

from __future__ import annotations

import os

from components.ingest.event_order import Order
from components.ingest.files.file_system import locate
from components.ingest.strict import Strict

SUMMARY_FILE = "ingestion.json"
"""Name within the examples artifact, beside the splits."""


class SplitSummary(Strict):
    """One split of the interaction stream."""

    count: int
    """Number of interactions."""
    positives: int
    """How many of them are positive."""
    repeats: int
    """How many are of a candidate the query had a positive interaction with before."""
    queries: int
    """How many distinct queries (users) they are of."""
    first: int
    """Earliest timestamp, seconds since 1970 UTC; without time as a partition's ``seconds``."""
    last: int
    """Latest timestamp, as ``first``."""
    actions: dict[str, int]
    """Declared action to how many interactions; empty where none are declared."""


class IngestionSummary(Strict):
    """What became of the event log.

    ``rows`` = ``bad`` + ``duplicates`` + ``before_since`` + ``left_out`` + ``cancellations`` +
    ``cancelled`` + the counts of all splits.
    """

    files: tuple[str, ...]
    """The event log's files."""
    rows: int
    """Rows read."""
    rows_by_source: dict[str, int]
    """Each source's ``files`` to the rows read from it."""
    bad: int
    """Rows that became dead letters, duplicates among them where the policy is ``dead_letter``."""
    bad_by_reason: dict[str, int]
    """Reason to how many, the most frequent first."""
    duplicates: int
    """Rows dropped because they repeat another, where the policy is ``drop``."""
    before_since: int
    """Rows left out because they are older than the declared ``since``."""
    left_out: int = 0
    """Rows left out by their source's ``where``."""
    cancellations: int = 0
    """Rows that cancel an interaction instead of being one."""
    cancelled: int = 0
    """Interactions left out because they are cancelled within their own split."""
    candidates: int
    """Size of the catalogue, stubs included."""
    stubs: int
    """Candidates that only the log knows."""
    span: int | None
    """The newest span read; None where the files are not numbered by span."""
    order: Order = "time"
    """What orders interactions; moments are seconds only where it is ``time``."""
    split: str
    """Kind of the split: ``time``, ``leave_last_out`` or ``column``."""
    eval_from: int | None
    """First timestamp of the eval split; None unless split by time, or where no row could be used."""
    test_from: int | None
    """First timestamp of the test split; None unless split by time, or where no row could be used."""
    splits: dict[str, SplitSummary]
    """Name to split, oldest first; a split without interactions is not there."""
    remarks: tuple[str, ...] = ()
    """What was noticed of the files: such as fit the pattern but number no span."""
    bytes_written: int
    """Size of the example files."""
    unreadable: tuple[str, ...] = ()
    """Why files could not be read to their end; always empty once the step has succeeded."""

    @property
    def asked_for(self) -> int:
        """Rows that ``where`` keeps, bad ones among them."""
        return self.rows - self.left_out


def write_ingestion_summary(summary: IngestionSummary, uri: str) -> None:
    """Writes the summary into an examples artifact."""
    system, directory = locate(uri)
    system.create_dir(directory, recursive=True)
    with system.open_output_stream(os.path.join(directory, SUMMARY_FILE)) as file:
        file.write(summary.model_dump_json(indent=2).encode() + b"\n")


def read_ingestion_summary(uri: str) -> IngestionSummary:
    """Reads the summary InteractionGen left in its examples artifact.

    Args:
        uri: The artifact's directory.
    """
    system, directory = locate(uri)
    with system.open_input_file(os.path.join(directory, SUMMARY_FILE)) as file:
        return IngestionSummary.model_validate_json(file.read())
