"""The two schemas beside a domain file: what the user says of the own columns."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.ingest.errors import UserError

INTERACTION_SCHEMA, CANDIDATE_SCHEMA = "interactions.pbtxt", "candidates.pbtxt"


def read_schema(path: Path) -> schema_pb2.Schema:
    """Read a schema as its file has it.

    Raises:
        UserError: If there is no such file, or it holds something else.
    """
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), schema_pb2.Schema())
    except FileNotFoundError:
        there = ", ".join(sorted(file.name for file in path.parent.glob("*.pbtxt"))) or "none"
        raise UserError(
            f"{path}: found no such file (schemas in this folder: {there}). Expected a TFMD schema that says "
            "which values of the columns are right. Write it (an empty file allows every value of domains "
            "without context and features), or have `westwork init` propose one."
        ) from None
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise UserError(
            f"{path}: cannot be read as a TFMD schema: {error}. Expected protocol buffers' text format, such "
            'as feature { name: "age" type: FLOAT }. Correct the file.'
        ) from None
