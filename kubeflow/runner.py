"""Compiles a domain's pipeline for Kubeflow Pipelines v2 (spec 2.1): ``python kubeflow/runner.py --help``.

A script, not a package: the name ``kubeflow`` belongs to another distribution. Heavy libraries are
imported once the command line is known to be right.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from components.ingest.errors import UserError

if TYPE_CHECKING:
    from pipeline.domain import Domain

_PIPELINE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_IN_CONTAINER = ("--runner=FnApiRunner", "--direct_num_workers=1")
"""Beam inside the step's own container. Without a runner named, Beam tries to download another one first."""
_BRINGS_CODE = ("--sdk_container_image", "--extra_package", "--setup_file", "--requirements_file")
"""Beam arguments that say where remote workers have the code from."""

_HELP = """Compile a domain's pipeline into a YAML file that Kubeflow Pipelines v2 runs.

It is the very pipeline of `westwork run`; each step becomes a container of --image, built from
kubeflow/Dockerfile. Nothing is run and nothing is uploaded here.

\b
Where things are:
  --data       the tables; the domain file's relative file names are under it
  --artifacts  the steps' outputs (Kubeflow's pipeline root); gs:// only
  --serving    pushed versions, for TensorFlow Serving to watch
  --statistics statistics of data that passed, which the next are compared with; by default under --artifacts
The others may be gs:// URIs or absolute paths, then of the image or of a volume mounted into every step.
"""
_EPILOG = """\b
Examples:
  python kubeflow/runner.py --domain movielens --image registry.example/westwork:1 \\
      --data gs://shop/movielens --artifacts gs://shop/runs --serving gs://shop/serving
  ... --set retrieval.epochs=50            a key of the domain file, dotted
  ... --beam-arg=--runner=DataflowRunner --beam-arg=--project=shop --beam-arg=--region=europe-west4 \\
      --beam-arg=--temp_location=gs://shop/tmp

Then submit pipeline.yaml with Kubeflow's page or `kfp run create`; see docs/kubeflow.md.

\b
Exit codes:
  0  the file is written
  1  failed; the message says what was found and what to do
  2  the command line is wrong
"""


@dataclass(frozen=True)
class Request:
    """What to compile, checked.

    Attributes:
        domain: The domain.
        data: Directory or URI of the tables.
        artifacts: URI of Kubeflow's pipeline root.
        serving: Directory or URI of the pushed versions.
        statistics: Directory or URI of the statistics of data that passed the gate.
        image: The steps' container image.
        beam_args: Beam's arguments, whole.
        cache: Whether Kubeflow may reuse earlier steps' outputs.
    """

    domain: Domain
    data: str
    artifacts: str
    serving: str
    statistics: str
    image: str
    beam_args: tuple[str, ...]
    cache: bool


def make_request(
    domain: Domain,
    *,
    data: str,
    artifacts: str,
    serving: str,
    image: str,
    statistics: str | None = None,
    beam_args: Sequence[str] = (),
    cache: bool = False,
) -> Request:
    """Checks what the user gave and fills in the defaults.

    Raises:
        UserError: If a place cannot be reached from a step, the image's name is none, a Beam argument is
            no option, or Kubeflow would refuse the pipeline's name.
    """
    if not _PIPELINE_NAME.fullmatch(f"westwork-{domain.name}"):
        raise UserError(
            f"domain folder {domain.name!r}: Kubeflow takes only lower-case letters, digits and hyphens in "
            "a pipeline's name (at most 128), which is made from the folder's. Rename the folder."
        )
    if not image or re.search(r"\s", image) or "://" in image:
        raise UserError(
            f"--image {image!r}: expected an image's name as container registries know it, such as "
            "registry.example/westwork:1. Build it from kubeflow/Dockerfile."
        )
    if not artifacts.startswith("gs://"):
        raise UserError(
            f"--artifacts {artifacts}: expected a gs:// URI. Steps read and write Kubeflow's artifact URIs "
            "through TensorFlow, which knows no other object store. Give a Google Cloud Storage path."
        )
    return Request(
        domain=domain,
        data=_place("--data", data),
        artifacts=_place("--artifacts", artifacts),
        serving=_place("--serving", serving),
        statistics=_place("--statistics", statistics or f"{artifacts.rstrip('/')}/statistics"),
        image=image,
        beam_args=complete_beam_args(beam_args, image),
        cache=cache,
    )


def complete_beam_args(given: Sequence[str], image: str) -> tuple[str, ...]:
    """Beam's arguments for every Beam step.

    Args:
        given: The user's. Without a ``--runner`` among them, Beam runs inside each step's container.
        image: The steps' image. Unless told otherwise it is also the remote workers': they need the same
            code. It keeps TFX from packing that up in every step, too.

    Raises:
        UserError: If an argument is no option.
    """
    for argument in given:
        if not argument.startswith("--"):
            raise UserError(
                f"--beam-arg {argument}: expected an option of Beam's, dashes included, such as "
                "--beam-arg=--runner=FlinkRunner"
            )
    names = {argument.partition("=")[0] for argument in given}
    completed = list(given)
    if "--runner" not in names:
        overridable = [argument for argument in _IN_CONTAINER if argument.partition("=")[0] not in names]
        completed = overridable + completed
    if not names.intersection(_BRINGS_CODE):
        completed.append(f"--sdk_container_image={image}")
    return tuple(completed)


def compile_pipeline(request: Request) -> dict[str, Any]:
    """The pipeline as Kubeflow's PipelineSpec 2.1, in plain dictionaries and lists."""
    from tfx.v1.orchestration import experimental

    from pipeline.graph import Places, create_pipeline

    pipeline = create_pipeline(
        request.domain,
        Places(
            data=request.data,
            artifacts=request.artifacts,
            serving=request.serving,
            statistics=request.statistics,
        ),
        beam_args=request.beam_args,
        enable_cache=request.cache,
    )
    config = experimental.KubeflowV2DagRunnerConfig(
        display_name=request.domain.title, default_image=request.image, use_pipeline_spec_2_1=True
    )
    job = experimental.KubeflowV2DagRunner(config).run(pipeline, write_out=False)
    # TFX says the root only in the job's runtime configuration, which a YAML file does not carry.
    return {**job["pipelineSpec"], "defaultPipelineRoot": request.artifacts}


def write_yaml(spec: Mapping[str, Any], output: Path) -> None:
    """Writes the file aside, then renames it.

    Raises:
        UserError: If it cannot be written.
    """
    try:
        descriptor, part = tempfile.mkstemp(prefix=f".{output.name}-", dir=output.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                yaml.safe_dump(dict(spec), file, sort_keys=True)
            os.chmod(part, 0o644)
            os.replace(part, output)
        except BaseException:
            os.unlink(part)
            raise
    except OSError as error:
        raise UserError(
            f"--output {output}: cannot be written: {error.strerror or error}. Name a file in a folder you "
            "may write to."
        ) from error


def _place(option: str, given: str) -> str:
    """A place every step can reach, without a slash at its end."""
    scheme, separator, _ = given.partition("://")
    if separator and scheme != "gs":
        raise UserError(
            f"{option} {given}: found the scheme {scheme}://, which TensorFlow cannot read or write. "
            "Expected a gs:// URI, or the absolute path of a volume mounted into every step."
        )
    if not separator and not given.startswith("/"):
        raise UserError(
            f"{option} {given or repr(given)}: a relative path means nothing inside a container. Expected a "
            "gs:// URI, or an absolute path of the image or of a volume mounted into every step."
        )
    return given.rstrip("/") or "/"


@click.command(help=_HELP, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--domain", "domain_name", required=True, help="A folder under schemas/, or a folder's path.")
@click.option("--data", required=True, metavar="URI|PATH", help="Where the tables are.")
@click.option("--artifacts", required=True, metavar="URI", help="Where the steps' outputs go.")
@click.option("--serving", required=True, metavar="URI|PATH", help="Where pushed versions go.")
@click.option(
    "--statistics",
    metavar="URI|PATH",
    help="Where statistics of data that passed are kept.  [default: ARTIFACTS/statistics]",
)
@click.option("--image", required=True, metavar="NAME", help="The image, with tag or digest.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key of the domain file, dotted; may be repeated.",
)
@click.option(
    "--beam-arg",
    "beam_args",
    multiple=True,
    metavar="--OPTION=VALUE",
    help="An argument for Beam; may be repeated. Without a --runner among them Beam runs inside the step.",
)
@click.option(
    "--cache/--no-cache",
    default=False,
    show_default=True,
    help="Let Kubeflow reuse steps of earlier runs. Only Vertex AI looks at the data files' content before "
    "it does; other installations would not notice new data under the same path.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("pipeline.yaml"),
    show_default=True,
    help="The file to write; must end in .yaml or .yml.",
)
def main(
    domain_name: str,
    data: str,
    artifacts: str,
    serving: str,
    statistics: str | None,
    image: str,
    overrides: tuple[str, ...],
    beam_args: tuple[str, ...],
    cache: bool,
    output: Path,
) -> None:
    """The command line."""
    from pipeline.domain import load_domain

    try:
        if output.suffix not in (".yaml", ".yml"):
            raise UserError(f"--output {output}: Kubeflow takes files that end in .yaml or .yml. Rename it.")
        request = make_request(
            load_domain(domain_name, overrides),
            data=data,
            artifacts=artifacts,
            serving=serving,
            statistics=statistics,
            image=image,
            beam_args=beam_args,
            cache=cache,
        )
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        logging.disable(logging.WARNING)
        spec = compile_pipeline(request)
        write_yaml(spec, output)
    except UserError as error:
        click.echo(f"error {error}", err=True)
        sys.exit(1)
    click.echo(
        f"{output}: {spec['pipelineInfo']['name']}, {len(spec['root']['dag']['tasks'])} steps of {image}"
    )
    click.echo(f"Beam: {' '.join(request.beam_args)}")
    click.echo(f"submit: kfp run create --experiment-name westwork --package-file {output}")


if __name__ == "__main__":
    main()
