"""``westwork serve``: the embedded server on a run's pushed models, or on any SavedModel."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from components.ingest.errors import UserError
from pipeline.cli_options import FiniteRange, domain_option, root_option

if TYPE_CHECKING:
    from serving.explorer.users import Explorer
    from serving.server import Listening, ServerOptions

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_HELP = """\b
Examples:
  westwork serve --domain movielens
  westwork serve --domain movielens --ui                      # and look at it: http://localhost:8501
  westwork serve --model /models/shop --port 9000 --rest-port 9001
  westwork serve --version 1795265760                         # roll back to that version
  westwork serve --label stable=1795265760 --label canary=1795269999
  westwork serve --concurrency 3 --batch-size 64              # many clients at once, many cores
  westwork serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem

\b
Then, elsewhere:
  westwork recommend --target localhost:8500 --user 42
  curl localhost:8501/v1/models/recommender/metadata
  curl localhost:8501/monitoring/prometheus/metrics

It speaks TensorFlow Serving's gRPC and REST interfaces: clients of TensorFlow Serving work unchanged. New
versions are loaded and warmed up beside the one that answers, which goes on until they are ready; one that
cannot be loaded is reported and never takes its place. At SIGTERM or Ctrl-C its health says that it is not
serving, it goes on answering until nothing has come for half a second, and ends when all are answered.

Whoever reaches the port may ask, and may change what is served; with --ui they may read the users' histories,
too. It listens on this machine alone unless --host says otherwise.
"""


def _labels(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    from serving.contract import is_version

    labels = {}
    for value in values:
        name, equals, version = value.partition("=")
        if not (name and equals and is_version(version)):
            raise click.BadParameter(f"found {value!r}, expected NAME=VERSION, such as stable=1795265760")
        labels[name] = int(version)
    return labels


@click.command(epilog=_HELP)
@domain_option
@root_option
@click.option(
    "--model",
    "base_path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Serve this directory of numbered versions, or this one SavedModel, instead of a run's.",
)
@click.option("--name", default="recommender", show_default=True, help="What requests call the model.")
@click.option(
    "--version",
    "versions",
    type=click.IntRange(0, 2**63 - 1),
    multiple=True,
    help="Serve exactly this version; may be repeated.  [default: always the newest]",
)
@click.option(
    "--label",
    "labels",
    metavar="NAME=VERSION",
    multiple=True,
    callback=_labels,
    help="Serve a version under a label, too, such as stable or canary; may be repeated.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8500, show_default=True, help="Of gRPC; 0: any free one."
)
@click.option(
    "--rest-port",
    type=click.IntRange(0, 65535),
    default=8501,
    show_default=True,
    help="Of REST and the metrics; 0: any free one.",
)
@click.option("--no-rest", is_flag=True, help="gRPC only.")
@click.option("--ui", is_flag=True, help="Serve the explorer, too: a page on REST's port that shows lists.")
@click.option(
    "--poll-seconds",
    type=FiniteRange(min=0.05, max=86_400),
    default=1.0,
    show_default=True,
    help="How often to look for new versions.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, 65_536),
    help="Join requests that wait at the same time into runs of so many queries; 1: do not.  "
    "[default: 32 for Westwork's models, 1 for others]",
)
@click.option(
    "--batch-timeout-ms",
    type=FiniteRange(min=0, max=60_000),
    default=0.0,
    show_default=True,
    help="How long a request waits for others to join it though a run could start.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1_024),
    help="Runs of the model at once.  [default: this machine's cores but one, at least 1]",
)
@click.option(
    "--run-threads",
    type=click.IntRange(0, 1_024),
    default=1,
    show_default=True,
    help="Threads that share a run's large operations: more answer a single request to a large catalogue "
    "sooner, but fewer requests in all; 0: one a core.",
)
@click.option(
    "--queue",
    type=click.IntRange(0, 1_000_000),
    default=256,
    show_default=True,
    help="Requests that may wait beside those; further ones are refused with RESOURCE_EXHAUSTED.",
)
@click.option(
    "--max-message-mb",
    type=FiniteRange(min=0, min_open=True, max=2000),
    default=4.0,
    show_default=True,
    help="Size of a request, and of an answer.",
)
@click.option(
    "--rest-timeout",
    type=FiniteRange(min=0, min_open=True, max=86_400),
    default=30.0,
    show_default=True,
    help="Seconds until a REST request is given up; over gRPC the client's deadline holds.",
)
@click.option(
    "--drain-seconds",
    type=FiniteRange(min=0, max=86_400),
    default=10.0,
    show_default=True,
    help="How long the server takes to stop: half of it for clients to go elsewhere, half for requests under "
    "way to end.",
)
@click.option(
    "--connection-seconds",
    type=FiniteRange(min=0, max=86_400),
    default=0.0,
    show_default=True,
    help="End gRPC connections after so long, so that clients find servers that came since; 0: never.",
)
@click.option("--tls-cert", type=_FILE, help="PEM file with the server's certificate: TLS on both ports.")
@click.option("--tls-key", type=_FILE, help="PEM file with its private key.")
@click.option("--tls-client-ca", type=_FILE, help="PEM file: clients must have a certificate signed by this.")
@click.option(
    "--tensorflow-log",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where TensorFlow's own messages go.  [default: logs/serve.log in the root; with --model nowhere]",
)
def serve(**options: Any) -> None:
    """Serve a pushed model over gRPC and REST, as TensorFlow Serving does."""
    from pipeline.domain import load_domain
    from pipeline.quiet import output_into
    from pipeline.run_process import environment
    from pipeline.run_root import RunRoot
    from pipeline.summary import newest_version_or_refuse

    if (options["tls_cert"] is None) != (options["tls_key"] is None):
        raise click.UsageError("expected both --tls-cert and --tls-key, or neither")
    if options["tls_client_ca"] and not options["tls_cert"]:
        raise click.UsageError("--tls-client-ca needs --tls-cert and --tls-key")
    if options["ui"] and options["no_rest"]:
        raise click.UsageError("--ui is a page on REST's port: leave out --no-rest")
    base_path, log = options["base_path"], options["tensorflow_log"]
    data, exclude_seen = None, True
    if base_path is None:
        domain = load_domain(options["domain"])
        places = RunRoot.of(options["root"], domain.name)
        newest_version_or_refuse(places.serving)
        data, exclude_seen = places.data, not domain.evaluation.repeats
        base_path, log = places.serving, log or places.logs / "serve.log"
    os.environ.update(environment())
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # TensorFlow writes to the descriptors themselves; what the server has to say keeps the real ones.
    with os.fdopen(os.dup(1), "w") as out, os.fdopen(os.dup(2), "w") as err:
        handler = logging.StreamHandler(err)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger = logging.getLogger("serving")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            with output_into(log or Path(os.devnull)):
                from serving.errors import ModelError
                from serving.server import Server

                def tell(listening: Listening) -> None:
                    print(_started(options, base_path, listening), file=out, flush=True)

                explorer = _explorer(options["name"], data, exclude_seen) if options["ui"] else None
                try:
                    in_order = asyncio.run(Server(_server_options(options, base_path, explorer)).run(tell))
                except (ModelError, OSError) as error:
                    raise UserError(str(error)) from error
                if not in_order:
                    # What is being loaded cannot be broken off, and the interpreter would wait for it.
                    err.flush()
                    os._exit(0)
        finally:
            logger.removeHandler(handler)


def _explorer(name: str, data: Path | None, exclude_seen: bool) -> Explorer:
    """What the explorer shows: users' histories only where there are a run's tables."""
    from pipeline.known_users import look_up_in
    from serving.explorer.users import Explorer

    return Explorer(name, None if data is None else look_up_in(data), exclude_seen)


def _server_options(options: dict[str, Any], base_path: Path, explorer: Explorer | None) -> ServerOptions:
    from serving.runner import Batching, Limits, runs_at_once
    from serving.server import ServerOptions, Tls
    from serving.versions import ModelConfig

    size, seconds = options["batch_size"], options["batch_timeout_ms"] / 1000
    tls = None
    if options["tls_cert"]:
        tls = Tls(options["tls_cert"], options["tls_key"], options["tls_client_ca"])
    return ServerOptions(
        models=(
            ModelConfig(
                options["name"],
                base_path.absolute(),
                versions=frozenset(options["versions"]),
                labels=options["labels"],
            ),
        ),
        host=options["host"],
        port=options["port"],
        rest_port=None if options["no_rest"] else options["rest_port"],
        poll_seconds=options["poll_seconds"],
        limits=Limits(
            options["concurrency"] or runs_at_once(),
            options["queue"],
            int(options["max_message_mb"] * (1 << 20)),
        ),
        batching=Batching(seconds=seconds) if size is None else Batching(size, seconds, any_model=True),
        run_threads=options["run_threads"],
        rest_timeout=options["rest_timeout"],
        drain_seconds=options["drain_seconds"],
        connection_seconds=options["connection_seconds"],
        tls=tls,
        explorer=explorer,
    )


def _started(options: dict[str, Any], base_path: Path, listening: Listening) -> str:
    """One line: what is served from where, and where to ask."""
    name = options["name"]
    versions = ", ".join(map(str, listening.versions[name]))
    rest = f" | REST {listening.url}/v1/models/{name}" if listening.url else ""
    explorer = f" | explorer {listening.url}/" if options["ui"] else ""
    return f"serving {name}, version {versions}, from {base_path} | gRPC {listening.target}{rest}{explorer}"
