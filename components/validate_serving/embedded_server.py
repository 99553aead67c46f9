"""The embedded server on one SavedModel, as a process of its own: ``python -m <this module> DIRECTORY``.

Prints gRPC's ``HOST:PORT`` once the model is available; what it has to say goes to stderr. It ends on
SIGTERM, and with the process that holds its stdin open, however that one ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from pathlib import Path

from serving.client import MODEL_NAME
from serving.errors import ModelError
from serving.server import Server, ServerOptions
from serving.versions import ModelConfig


def main() -> int:
    """Serves until it is told to end.

    Returns:
        The exit code: 1 where the model cannot be served, which has been logged then.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    model = ModelConfig(MODEL_NAME, Path(sys.argv[1]))
    options = ServerOptions(models=(model,), port=0, rest_port=None)
    try:
        asyncio.run(Server(options).run(lambda listening: print(listening.target, flush=True)))
    except (ModelError, OSError) as error:
        logging.error("%s", error)
        return 1
    return 0


def _end_with_parent() -> None:
    # Not sys.stdin, whose lock a thread must not hold when the interpreter ends.
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
