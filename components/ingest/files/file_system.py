"""Where a path or URI leads: local files and object stores through one interface.

TensorFlow's file layer would do, but brings TensorFlow along, for which no worker process should wait.
"""

from __future__ import annotations

import pyarrow.fs as pa_fs


def locate(path_or_uri: str) -> tuple[pa_fs.FileSystem, str]:
    """The file system a path or URI is of, and the path there.

    Raises:
        pyarrow.ArrowInvalid: If no file system is known for the URI.
    """
    if "://" in path_or_uri:
        return pa_fs.FileSystem.from_uri(path_or_uri)
    return pa_fs.LocalFileSystem(), path_or_uri
