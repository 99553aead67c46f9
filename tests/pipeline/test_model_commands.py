"""``westwork inspect`` and ``westwork export``, on models small enough to make by hand."""

import json
import runpy
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from click.testing import CliRunner
from tensorflow.core.protobuf import saved_model_pb2

from pipeline.cli import main

TESTS = Path(__file__).resolve().parent.parent


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """A serving directory with an older version that is none of ours, and the bookshop's."""
    folder = tmp_path_factory.mktemp("serving")
    double = tf.Module()
    double.run = tf.function(lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec(None, tf.float32, "x")])
    tf.saved_model.save(double, str(folder / "7"), signatures=double.run)
    runpy.run_path(str(TESTS / "fixtures" / "bookshop_model.py"))["save"](folder / "12")
    return folder


def rename_an_op(model: Path, old: str, new: str) -> None:
    """Gives the nodes of one op, in all functions, another op."""
    content = saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes())
    for function in content.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            node.op = new if node.op == old else node.op
    (model / "saved_model.pb").write_bytes(content.SerializeToString())


def test_inspect_lists_signatures_with_dtypes_and_shapes_of_the_newest_version(serving):
    facts = json.loads(invoke("inspect", serving, "--json").stdout)
    assert facts["path"] == str(serving / "12")
    recommend = facts["signatures"]["recommend"]
    assert recommend["inputs"]["history"] == {"dtype": "string", "shape": [None, None]}
    assert recommend["inputs"]["k"] == {"dtype": "int32", "shape": []}
    assert recommend["outputs"]["scores"]["dtype"] == "float32"
    assert set(facts["signatures"]) == {"recommend", "retrieve", "embed_query"}
    assert facts["bytes"] == sum(
        file.stat().st_size for file in (serving / "12").rglob("*") if file.is_file()
    )


def test_a_model_of_stock_ops_loads_in_every_server(serving):
    facts = json.loads(invoke("inspect", serving / "12", "--json").stdout)
    assert facts["census"]["custom"] == {}
    assert facts["census"]["ops"]["TopKV2"] >= 1, "inside a function"
    assert facts["census"]["tensorflow"] == tf.__version__
    assert [server["loads"] for server in facts["servers"]] == [True, True, True]


@pytest.mark.parametrize(
    ("op", "loads"), [("Scann>ScannSearch", [False, True, True]), ("Mystery", [False, False, False])]
)
def test_an_op_that_is_not_stock_is_found_in_the_functions_and_decides_who_can_serve(
    serving, tmp_path, op, loads
):
    shutil.copytree(serving / "12", tmp_path / "model")
    rename_an_op(tmp_path / "model", "TopKV2", op)
    facts = json.loads(invoke("inspect", tmp_path / "model", "--json").stdout)
    assert facts["census"]["custom"] == {op: facts["census"]["ops"][op]}
    assert [server["loads"] for server in facts["servers"]] == loads
    said = invoke("inspect", tmp_path / "model").stdout
    assert f"not stock  {op} (" in said
    assert f"tensorflow/serving cannot load it: it has no {op}" in said


def test_a_model_that_is_not_ours_is_shown_all_the_same(serving):
    said = invoke("inspect", serving / "7").stdout
    assert "not known: no model of the Assembler" in said
    assert "float32" in said
    assert json.loads(invoke("inspect", serving / "7", "--json").stdout)["index"] is None


def test_libraries_of_custom_ops_in_this_process_are_not_taken_for_stock(serving):
    # The name ScaNN's library gives its ops in the registry, which this very process may have loaded.
    from scann import scann_ops

    assert scann_ops
    assert not hasattr(tf.raw_ops, "Scann>ScannSearch")
    assert hasattr(tf.raw_ops, "StatefulPartitionedCall")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect", "nowhere"], "nowhere is no SavedModel. Expected a directory with saved_model.pb"),
        (["export", "--index", "ivf", "--to", "out", "--model", "nowhere"], "is not a model whose index"),
        (
            ["export", "--index", "ivf", "--to", "out", "--domain", str(TESTS / "fixtures" / "tiny")],
            "no model has been pushed to",
        ),
        (["export", "--index", "ivf", "--to", "out", "--set", "x", "--model", "y"], "expected key=value"),
    ],
)
def test_mistakes_are_told_in_words(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_a_damaged_graph_is_told_in_words(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xffnot a model")
    result = invoke("inspect", tmp_path)
    assert result.exit_code == 1
    assert "saved_model.pb cannot be read" in result.output


def test_a_model_of_another_make_is_not_exported(serving, tmp_path):
    result = invoke("export", "--model", serving / "12", "--index", "ivf", "--to", tmp_path / "out")
    assert result.exit_code == 1
    assert "is not a model whose index can be changed" in result.output
    assert not (tmp_path / "out").exists()
