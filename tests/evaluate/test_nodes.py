"""The nodes from the model to the push, as both runners run them."""

from __future__ import annotations

import dataclasses
import json

import pytest
import tfx.v1 as tfx
from tfx.types import standard_artifacts

from components.evaluate.baseline import BaselineResolver
from components.evaluate.config import EvaluationConfig
from components.evaluate.evaluator import evaluator, reporting_evaluator
from components.push.pusher import pusher

INTERACTIONS = [("ann", "a", 5.0, []), ("ann", "c", 2.0, []), ("bob", "c", 5.0, []), ("bob", "a", 3.0, [])]


@pytest.fixture
def last_steps(tmp_path, declaration, heads, no_baselines):
    """Returns a function (inputs) that makes the pipeline of these nodes, on given artifacts."""

    def make(inputs) -> tfx.dsl.Pipeline:
        def importer(name, kind, **properties):
            uri = str(inputs / name)
            node = tfx.dsl.Importer(source_uri=uri, artifact_type=kind, properties=properties)
            return node.with_id(name.capitalize())

        examples = importer("examples", standard_artifacts.Examples, split_names='["eval", "test"]')
        schema = importer("schema", standard_artifacts.Schema)
        model = importer("model", standard_artifacts.Model)
        serving = str(tmp_path / "serving")
        baseline = BaselineResolver(model=model.outputs["result"], push_destination=serving)
        data = {"examples": examples.outputs["result"], "schema": schema.outputs["result"]}
        gate = evaluator(
            **data,
            model=model.outputs["result"],
            baseline=baseline.outputs["baseline"],
            baselines=None,
            declaration=declaration,
            heads=heads,
            config=EvaluationConfig(floors={"retrieve/recall@10": 0.0}, ceilings={}, baselines=no_baselines),
        )
        report = reporting_evaluator(
            **data,
            model=model.outputs["result"],
            baselines=None,
            declaration=declaration,
            heads=heads,
            config=EvaluationConfig(baselines=no_baselines),
        )
        servable = tfx.dsl.Importer(
            source_uri=str(inputs / "model"),
            artifact_type=standard_artifacts.InfraBlessing,
            custom_properties={"blessed": 1},
        ).with_id("Servable")
        push = pusher(model.outputs["result"], gate.outputs["blessing"], servable.outputs["result"], serving)
        return tfx.dsl.Pipeline(
            pipeline_name="last-steps",
            pipeline_root=str(tmp_path / "artifacts"),
            components=[examples, schema, model, baseline, gate, report, servable, push],
            enable_cache=True,
            metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
                str(tmp_path / "metadata.sqlite")
            ),
            beam_pipeline_args=[
                "--runner=FnApiRunner",
                "--direct_num_workers=1",
                "--sdk_container_image=local",
            ],
        )

    return make


def test_the_first_model_is_pushed_a_worse_one_is_not_and_a_repeat_changes_nothing(
    last_steps, laid_out, toy, tmp_path
):
    def versions():
        return sorted(entry.name for entry in (tmp_path / "serving").iterdir())

    runner = tfx.orchestration.LocalDagRunner()
    good = laid_out("good", toy, INTERACTIONS)
    runner.run(last_steps(good))
    first = versions()
    assert len(first) == 1

    worse = laid_out("worse", dataclasses.replace(toy, scores=-toy.scores), INTERACTIONS)
    runner.run(last_steps(worse))
    assert versions() == first

    runner.run(last_steps(good))
    assert versions() == first


def test_both_evaluators_and_the_push_compile_for_kubeflow(last_steps, laid_out, toy, tmp_path):
    runner = tfx.orchestration.experimental.KubeflowV2DagRunner(
        config=tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(default_image="image"),
        output_filename="pipeline.json",
        output_dir=str(tmp_path),
    )
    runner.run(last_steps(laid_out("good", toy, INTERACTIONS)))
    spec = json.loads((tmp_path / "pipeline.json").read_text())["pipelineSpec"]
    executors = {
        label: " ".join(executor["container"]["args"])
        for label, executor in spec["deploymentSpec"]["executors"].items()
        if "container" in executor
    }
    for node, path in {
        "BaselineResolver": "components.evaluate.baseline.Executor",
        "Evaluator": "components.evaluate.evaluator.Executor",
        "TestEvaluator": "components.evaluate.evaluator.Executor",
        "Pusher": "components.push.pusher.Executor",
    }.items():
        assert path in executors[f"{node}_executor"]


def test_baselines_that_are_asked_have_to_be_given(declaration, heads, no_baselines):
    channel = tfx.dsl.Channel(type=standard_artifacts.Model)
    examples = tfx.dsl.Channel(type=standard_artifacts.Examples)
    schema = tfx.dsl.Channel(type=standard_artifacts.Schema)
    for config, baselines, said in (
        (EvaluationConfig(), None, "asks ials, item_knn, and 'baselines' is None"),
        (
            EvaluationConfig(baselines=no_baselines),
            channel,
            "asks no trained baseline, and 'baselines' is given",
        ),
    ):
        with pytest.raises(ValueError, match=said):
            reporting_evaluator(examples, channel, baselines, schema, declaration, heads, config)
