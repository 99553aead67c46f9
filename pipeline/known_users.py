"""Users for a server's explorer: the event log is the pipeline's to read."""

from __future__ import annotations

import time
from pathlib import Path

import grpc

from components.ingest.errors import UserError
from components.ingest.query import read_query
from pipeline.recommend import declaration_of, query_values
from serving.errors import RequestError
from serving.explorer.users import UserLookup, UserRecord
from serving.model_files import ModelFiles


def look_up_in(data_dir: Path) -> UserLookup:
    """Looks users up in a run's tables.

    Args:
        data_dir: The tables.

    Returns:
        The lookup; it raises a ModelError where the tables cannot be read.
    """

    def look_up(files: ModelFiles, user: str, moment: int | None) -> UserRecord:
        declaration = declaration_of(files)
        if not declaration.interactions.timestamp.has_time:
            moment = None
        try:
            record = read_query(declaration, str(data_dir), user, moment)
        except UserError as error:
            raise RequestError(grpc.StatusCode.FAILED_PRECONDITION, str(error)) from error
        if moment is None and declaration.interactions.timestamp.has_time:
            moment = int(time.time()) if record.latest_in_log is None else record.latest_in_log
        return UserRecord(record.known, query_values(declaration, record, moment), record.seen)

    return look_up
