"""The embedded server as kubeflow/serving starts it: its probes and alerts ask what it has."""

import re
import urllib.request
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc
from running_server import Running
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tiny_model import predict_request

from pipeline.serve import _server_options, serve

MANIFESTS = Path(__file__).resolve().parents[2] / "kubeflow" / "serving"


def _read(path: str) -> dict:
    return yaml.safe_load((MANIFESTS / path).read_text())["spec"]


@pytest.fixture(scope="module", params=["westwork/deployment.yaml", "kserve/westwork.yaml"])
def container(request) -> dict:
    found = _read(request.param)
    pods = found["template"]["spec"] if "template" in found else found["predictor"]
    (container,) = pods["containers"]
    return container


@pytest.fixture(scope="module")
def started(saved, container):
    """The server with that command line, on free ports."""
    line = [re.sub("^--model=.*", f"--model={saved}", option) for option in container["args"]]
    with serve.make_context("serve", line) as context:
        options = _server_options(context.params, saved, None)
    server = Running(replace(options, port=0, rest_port=0))
    yield server
    server.stop()


def test_the_probes_are_answered(container, started):
    with grpc.insecure_channel(started.target) as channel:
        for kind in ("startupProbe", "readinessProbe"):
            asked = health_pb2.HealthCheckRequest(service=container[kind]["grpc"]["service"])
            answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with urllib.request.urlopen(started.url + container["livenessProbe"]["httpGet"]["path"]) as answer:
        assert answer.status == 200


def test_the_alerts_ask_for_metrics_that_there_are(started):
    with grpc.insecure_channel(started.target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert stub.Predict(predict_request("recommender"), timeout=30).model_spec.name == "recommender"
    (endpoint,) = _read("monitoring/pods.yaml")["podMetricsEndpoints"]
    with urllib.request.urlopen(started.url + endpoint["path"]) as answer:
        page = answer.read().decode()
    metrics = {re.split(r"[{ ]", line)[0] for line in page.splitlines() if not line.startswith("#")}
    labels = set(re.findall(r'(\w+)="', page))
    (group,) = _read("monitoring/alerts.yaml")["groups"]
    scaled_by = _read("monitoring/autoscaler-on-requests.yaml")["metrics"]
    asked = {metric["pods"]["metric"]["name"] for metric in scaled_by if "pods" in metric}
    for rule in group["rules"]:
        asked |= set(re.findall(r":tensorflow:serving:\w+|westwork_\w+", rule["expr"]))
        if "kube_" not in rule["expr"]:
            assert set(re.findall(r'(\w+)[!=]=?~?"', rule["expr"])) <= labels
    assert len(asked) == 4 and asked <= metrics
