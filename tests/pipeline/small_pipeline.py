"""A real TFX pipeline of three nodes in milliseconds, run as the child of `follow`: python THIS ROOT ...

Its nodes do what the files in ROOT tell them: `fail` (the text of an error), `hang` and `refuse` (any).
"""

import argparse
import sys
import time
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import OutputArtifact
from tfx.dsl.component.experimental.decorators import component

from components.ingest.errors import UserError
from pipeline.local_runner import ReportingDagRunner, run_as_child
from pipeline.run_process import add_child_arguments


@component
def First(
    number: tfx.dsl.components.Parameter[int], out: OutputArtifact[tfx.types.standard_artifacts.Examples]
):
    print("chatter of a step on stdout")
    Path(out.uri, "number").write_text(str(number))


def _refuse(element: int) -> int:
    raise UserError("u.data, row 7: found 'x',\nexpected a number")


@component
def Second(
    root: tfx.dsl.components.Parameter[str],
    before: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    out: OutputArtifact[tfx.types.standard_artifacts.Examples],
):
    if Path(root, "hang").exists():
        Path(root, "hanging").touch()
        time.sleep(600)
    wrong = Path(root, "fail")
    if wrong.exists():
        kind = wrong.read_text()
        if kind == "beam":
            options = PipelineOptions(["--runner=FnApiRunner", "--direct_num_workers=1"])
            with beam.Pipeline(options=options) as pipeline:
                _ = pipeline | beam.Create([1]) | "Check rows" >> beam.Map(_refuse)
        if kind == "user":
            try:
                raise UserError("the data are wrong")
            except UserError as error:
                raise RuntimeError("wrapped") from error
        raise ValueError("an ordinary fault\nin two lines")
    Path(out.uri, "number").write_text(Path(before.uri, "number").read_text())


@component
def Third(
    root: tfx.dsl.components.Parameter[str],
    before: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    out: OutputArtifact[tfx.types.standard_artifacts.InfraBlessing],
):
    assert Path(before.uri, "number").exists()
    out.set_int_custom_property("blessed", int(not Path(root, "refuse").exists()))


def create(root: Path, number: int) -> tfx.dsl.Pipeline:
    first = First(number=number)
    second = Second(root=str(root), before=first.outputs["out"])
    return tfx.dsl.Pipeline(
        pipeline_name="small",
        pipeline_root=str(root / "artifacts"),
        components=[first, second, Third(root=str(root), before=second.outputs["out"])],
        enable_cache=True,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(root / "metadata.sqlite")
        ),
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("--number", type=int, default=1)
    add_child_arguments(parser)
    given = parser.parse_args()
    return run_as_child(given, lambda send: ReportingDagRunner(send).run(create(given.root, given.number)))


if __name__ == "__main__":
    sys.exit(main())
