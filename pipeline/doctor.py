"""Checks that this machine and environment can run Westwork, one thing a line."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.run_process import environment

_GIB = 1 << 30
MEMORY_NEEDED = 4 * _GIB
"""Bytes. What a run on MovieLens-100K stays below, peak."""
DISK_NEEDED = 2 * _GIB
"""Bytes. Room for a few runs on MovieLens-100K."""
_GLIBC_NEEDED = (2, 38)
_STDCXX_NEEDED = "GLIBCXX_3.4.32"
_PROBE_SECONDS = 300
_SET_UP = "run `make setup`; it repairs the environment"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    Attributes:
        subject: What was looked at.
        ok: Whether it will do.
        detail: The version or the amount found; where not ok, what is wrong and what to do.
    """

    subject: str
    ok: bool
    detail: str


# Each prints the version as its last line.
_PROBES = {
    "TensorFlow": (
        "import tensorflow as tf\nassert int(tf.reduce_sum(tf.constant([1, 2]))) == 3\nprint(tf.__version__)"
    ),
    "ScaNN": (
        "import tensorflow as tf, numpy as np, importlib.metadata\n"
        "from scann import scann_ops\n"
        "vectors = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)\n"
        "searcher = scann_ops.builder(vectors, 3, 'dot_product').score_brute_force().build()\n"
        "neighbours, _ = searcher.search_batched(vectors[:1])\n"
        "assert int(neighbours[0, 0]) == int(np.argmax(vectors @ vectors[0]))\n"
        "print(importlib.metadata.version('scann'))"
    ),
    "TFRS": (
        "import tensorflow as tf, tensorflow_recommenders as tfrs\n"
        "index = tfrs.layers.factorized_top_k.BruteForce(k=1)\n"
        "index.index(tf.eye(4))\n"
        "assert int(index(tf.constant([[0.0, 0.0, 1.0, 0.0]]))[1][0, 0]) == 2\n"
        "print(tfrs.__version__)"
    ),
    "ML Metadata": (
        "import os, tempfile, ml_metadata\n"
        "from ml_metadata.metadata_store import metadata_store\n"
        "from ml_metadata.proto import metadata_store_pb2 as pb\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    config = pb.ConnectionConfig()\n"
        "    config.sqlite.filename_uri = os.path.join(folder, 'metadata.sqlite')\n"
        "    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE\n"
        "    store = metadata_store.MetadataStore(config)\n"
        "    store.put_context_type(pb.ContextType(name='doctor'))\n"
        "    assert [kind.name for kind in store.get_context_types()] == ['doctor']\n"
        "print(ml_metadata.__version__)"
    ),
    "Beam": (
        "import apache_beam as beam\n"
        "from apache_beam.options.pipeline_options import PipelineOptions\n"
        "from apache_beam.testing.util import assert_that, equal_to\n"
        "options = PipelineOptions(['--runner=FnApiRunner', '--direct_num_workers=1'])\n"
        "with beam.Pipeline(options=options) as pipeline:\n"
        "    doubled = pipeline | beam.Create([1, 2, 3]) | beam.Map(lambda x: 2 * x)\n"
        "    assert_that(doubled, equal_to([2, 4, 6]))\n"
        "print(beam.__version__)"
    ),
}


def examine(root: Path) -> Iterator[Finding]:
    """Look at everything, and tell each finding as soon as it and those before it are there.

    Args:
        root: Folder whose disk the runs will be on; need not exist.
    """
    with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as workers:
        probes = {name: workers.submit(probe, name, code) for name, code in _PROBES.items()}
        yield python()
        yield glibc()
        yield libstdcxx()
        for found in probes.values():
            yield found.result()
        yield memory()
        yield disk(root)


def python() -> Finding:
    """The interpreter's version."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if (3, 11) <= sys.version_info < (3, 14):
        return Finding("Python", True, version)
    return Finding("Python", False, f"{version}; expected 3.11, 3.12 or 3.13: make setup PYTHON=/path/to/one")


def glibc() -> Finding:
    """The C library this process runs on."""
    found = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
    version = re.fullmatch(r"glibc (\d+)\.(\d+).*", found or "")
    if version and (int(version[1]), int(version[2])) >= _GLIBC_NEEDED:
        return Finding("glibc", True, f"{version[1]}.{version[2]}")
    expected = ".".join(str(part) for part in _GLIBC_NEEDED)
    return Finding(
        "glibc", False, f"{found or 'not found'}; ML Metadata needs {expected} or later: {_SET_UP}"
    )


def libstdcxx() -> Finding:
    """The C++ library this process loads."""
    try:
        ctypes.CDLL("libstdc++.so.6")
    except OSError as error:
        return Finding("libstdc++", False, f"{error}: {_SET_UP}")
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    path = Path(re.findall(r"\S*/libstdc\+\+\.so\.6\S*", maps)[0])
    versions = set(re.findall(rb"GLIBCXX_3\.4\.(\d+)", path.read_bytes()))
    newest = f"GLIBCXX_3.4.{max(map(int, versions), default=0)}"
    if _STDCXX_NEEDED.rpartition(".")[2].encode() in versions:
        return Finding("libstdc++", True, newest)
    return Finding("libstdc++", False, f"{newest} in {path}; expected {_STDCXX_NEEDED}: {_SET_UP}")


def probe(name: str, code: str, seconds: float = _PROBE_SECONDS) -> Finding:
    """Try a library in a process of its own, so that even a crash is only a finding.

    Args:
        name: The library.
        code: Python that uses it and prints its version as the last line.
        seconds: After which it counts as hanging.
    """
    with tempfile.TemporaryDirectory() as elsewhere:
        try:
            ended = subprocess.run(
                [sys.executable, "-c", code],
                env=environment(),
                cwd=elsewhere,
                capture_output=True,
                text=True,
                timeout=seconds,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            return Finding(name, False, f"no answer within {seconds:g} s: {_SET_UP}")
    if ended.returncode == 0 and ended.stdout.strip():
        return Finding(name, True, ended.stdout.strip().splitlines()[-1])
    if ended.returncode < 0:
        return Finding(name, False, f"crashed with signal {-ended.returncode}: {_SET_UP}")
    last = (ended.stderr.strip() or f"exit code {ended.returncode}").splitlines()[-1]
    return Finding(name, False, f"{last}: {_SET_UP}")


def memory() -> Finding:
    """What this machine, or the container it is, has in all."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = _read(Path(limit))
        if text.isdecimal():
            total = min(total, int(text))
    return _amount("memory", total, MEMORY_NEEDED, "use a larger machine, or raise the container's limit")


def disk(root: Path) -> Finding:
    """What is free where the runs will be."""
    existing = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    advice = f"make room on the disk of {existing}, or name another with --root"
    return _amount("disk", shutil.disk_usage(existing).free, DISK_NEEDED, advice)


def _amount(subject: str, found: int, needed: int, advice: str) -> Finding:
    if found >= needed:
        return Finding(subject, True, f"{found / _GIB:.1f} GiB")
    return Finding(subject, False, f"{found / _GIB:.1f} GiB; expected {needed / _GIB:.0f} GiB: {advice}")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def all_ok(findings: Iterator[Finding], tell: Callable[[Finding], None]) -> bool:
    """Tell every finding as it comes; whether all are ok."""
    ok = True
    for finding in findings:
        tell(finding)
        ok = ok and finding.ok
    return ok
