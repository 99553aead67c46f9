"""The manifests of kubeflow/serving, as far as they can be checked without a cluster."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from manifests import MANIFESTS, NEWEST, OLDEST, Document, check, document, documents, pod_spec, server
from reading_club import ROOT
from tensorflow_serving.config import model_server_config_pb2

from pipeline.serve import serve

OURS = {
    "westwork": document("westwork/deployment.yaml", "Deployment"),
    "kserve/westwork": document("kserve/westwork.yaml", "InferenceService"),
}
STOCK = {
    "tensorflow-serving": document("tensorflow-serving/deployment.yaml", "Deployment"),
    "kserve/tensorflow": document("kserve/tensorflow.yaml", "InferenceService"),
}
SERVERS = {**OURS, **STOCK}
CONFIGS = ("tensorflow-serving/config.yaml", "rollout/canary.yaml")
RUNTIME = ["--model_name=recommender", "--port=9000", "--rest_api_port=8080", "--model_base_path=/mnt/models"]
"""What KServe's runtime for TensorFlow starts it with (kserve/kserve,
config/runtimes/kserve-tensorflow-serving.yaml); the manifest's arguments follow."""
FLAGS = {
    "allow_version_labels_for_unavailable_models",
    "file_system_poll_wait_seconds",
    "grpc_channel_arguments",
    "model_base_path",
    "model_config_file",
    "model_config_file_poll_wait_seconds",
    "model_name",
    "monitoring_config_file",
    "port",
    "rest_api_num_threads",
    "rest_api_port",
    "tensorflow_inter_op_parallelism",
    "tensorflow_intra_op_parallelism",
}
"""Of TensorFlow Serving's flags, those that are used (tensorflow/serving,
tensorflow_serving/model_servers/main.cc)."""

each_server = pytest.mark.parametrize("found", SERVERS.values(), ids=SERVERS.keys())
each_of_ours = pytest.mark.parametrize("found", OURS.values(), ids=OURS.keys())
each_stock = pytest.mark.parametrize("found", STOCK.values(), ids=STOCK.keys())


def arguments(found: Document) -> dict[str, str]:
    """What its container starts the server with: option to value."""
    options = (option.partition("=") for option in server(found)["args"])
    return {name.removeprefix("--"): value for name, _, value in options}


def seconds_before_sigterm(found: Document) -> float:
    """How long preStop takes."""
    command, seconds = server(found)["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    return float(seconds)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize(
    "found", [pytest.param(found, id=f"{path}-{found['kind']}") for path, found in documents()]
)
def test_every_manifest_is_as_its_schema_says(found: Document, version: str) -> None:
    check(found, version)


def _rename(path: str, name: str) -> Callable[[Document], None]:
    """A change that spells a field's name differently; the path's steps are keys and places in lists."""

    def change(found: Document) -> None:
        *steps, last = path.split(".")
        at = found
        for step in steps:
            at = at[int(step)] if isinstance(at, list) else at[step]
        at[name] = at.pop(last)

    return change


@pytest.mark.parametrize(
    ("path", "kind", "change", "message"),
    [
        ("westwork/deployment.yaml", "Deployment", _rename("spec.template", "tempate"), "tempate"),
        (
            "westwork/deployment.yaml",
            "Deployment",
            _rename("spec.template.spec.containers.0.startupProbe.grpc.port", "prot"),
            "prot",
        ),
        ("common/autoscaler.yaml", "HorizontalPodAutoscaler", _rename("spec.maxReplicas", "max"), "max"),
        ("kserve/westwork.yaml", "InferenceService", _rename("spec.predictor.minReplicas", "min"), "min"),
        (
            "kserve/westwork.yaml",
            "InferenceService",
            _rename("spec.predictor.containers.0.readinessProbe", "ready"),
            "ready",
        ),
        (
            "kserve/tensorflow.yaml",
            "InferenceService",
            _rename("spec.predictor.model.storageUri", "storageURI"),
            "storageURI",
        ),
        (
            "kserve/tensorflow.yaml",
            "InferenceService",
            lambda found: found["spec"]["predictor"].update(scaleMetric="qps"),
            "'qps' is not one of",
        ),
        (
            "kserve/tensorflow.yaml",
            "InferenceService",
            lambda found: found["spec"]["predictor"]["model"]["ports"][0].update(containerPort="9000"),
            "'9000' is not of type",
        ),
        ("monitoring/pods.yaml", "PodMonitor", _rename("spec.podMetricsEndpoints.0.port", "prot"), "prot"),
        (
            "monitoring/alerts.yaml",
            "PrometheusRule",
            lambda found: found["spec"]["groups"][0]["rules"][0].update({"for": "5 minutes"}),
            "5 minutes",
        ),
    ],
)
def test_a_wrong_field_is_found(
    path: str, kind: str, change: Callable[[Document], None], message: str
) -> None:
    wrong = copy.deepcopy(document(path, kind))
    change(wrong)
    with pytest.raises(jsonschema.ValidationError, match=re.escape(message)):
        check(wrong, NEWEST)


@each_of_ours
def test_our_command_line_is_one_that_westwork_serve_takes(found: Document, tmp_path: Path) -> None:
    container = server(found)
    assert container["command"] == ["westwork", "serve"]
    options = arguments(found)
    assert options["model"] == "/models/recommender"
    line = [option.replace(options["model"], str(tmp_path)) for option in container["args"]]
    with serve.make_context("serve", line) as context:
        taken = context.params
    assert taken["base_path"] == tmp_path
    assert (taken["name"], taken["host"]) == ("recommender", "0.0.0.0")
    # A core is left to the interpreter; runs at once are bound by what the pod may use, not by its node.
    assert taken["concurrency"] == int(container["resources"]["limits"]["cpu"]) - 1


def test_an_option_that_it_does_not_have_would_be_found(tmp_path: Path) -> None:
    ended = CliRunner().invoke(serve, [f"--model={tmp_path}", "--batching=32"])
    assert ended.exit_code == 2 and "No such option" in ended.stderr


def test_the_image_can_run_our_command() -> None:
    dockerfile = (ROOT / "kubeflow" / "Dockerfile").read_text()
    assert "PATH=/opt/westwork/venv/bin:$PATH" in dockerfile and "COPY serving serving" in dockerfile
    assert '"westwork = pipeline.cli:main"' in (ROOT / "setup.py").read_text()
    (user,) = re.findall(r"^USER (\d+)$", dockerfile, re.MULTILINE)
    for found in OURS.values():
        assert pod_spec(found)["securityContext"]["runAsUser"] == int(user)
    images = {server(found)["image"] for found in OURS.values()}
    assert len(images) == 1 and f"--tag {images.pop()} " in dockerfile


@each_stock
def test_tensorflow_serving_gets_flags_that_it_has(found: Document) -> None:
    options = arguments(found)
    assert options.keys() <= FLAGS
    cores = server(found)["resources"]["limits"]["cpu"]
    assert options["tensorflow_intra_op_parallelism"] == options["tensorflow_inter_op_parallelism"] == cores
    # gRPC reads them as key=value,key=value.
    for channel_argument in options["grpc_channel_arguments"].split(","):
        assert re.fullmatch(r"grpc\.[a-z_]+=\d+", channel_argument)


@each_stock
def test_tensorflow_serving_does_not_batch_since_k_is_a_scalar(found: Document) -> None:
    """With --enable_batching it refuses every request that has an input without rows (tensorflow/serving,
    tensorflow_serving/batching/batching_util.h, ComputeTensorBatchSize), and it would fill up short histories
    with their first event (AddPadding there)."""
    assert not [option for option in server(found)["args"] if "batch" in option]
    assert "| `k` | int32 [] |" in (ROOT / "docs" / "model.md").read_text()


def test_the_stock_image_is_of_the_tensorflow_that_models_are_made_with() -> None:
    (locked,) = re.findall(r"^tensorflow==(\d+\.\d+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    image = server(STOCK["tensorflow-serving"])["image"]
    assert image.startswith(f"tensorflow/serving:{locked}.")
    assert server(STOCK["kserve/tensorflow"])["runtimeVersion"] == image.partition(":")[2]


@pytest.mark.parametrize("path", CONFIGS)
def test_the_model_config_is_one_of_tensorflow_serving(path: str) -> None:
    text = document(path, "ConfigMap")["data"]["models.config"]
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.model_platform) == ("recommender", "tensorflow")
    mount = next(m for m in server(STOCK["tensorflow-serving"])["volumeMounts"] if m["name"] == "models")
    assert model.base_path == f"{mount['mountPath']}/recommender"
    policy = model.model_version_policy
    # Every labelled version is served, or there would be no answer under its label.
    assert set(model.version_labels.values()) <= set(policy.specific.versions)
    assert policy.latest.num_versions == 1 or set(model.version_labels) == {"stable", "canary"}
    with pytest.raises(text_format.ParseError):
        text_format.Parse(text.replace("base_path", "path"), model_server_config_pb2.ModelServerConfig())


@pytest.mark.parametrize("path", CONFIGS)
def test_the_monitoring_config_is_one_of_tensorflow_serving(path: str) -> None:
    text = document(path, "ConfigMap")["data"]["monitoring.config"]
    config = text_format.Parse(text, monitoring_config()())
    assert config.prometheus_config.enable
    for found in STOCK.values():
        assert annotations(found)["prometheus.io/path"] == config.prometheus_config.path


def monitoring_config() -> type:
    """tensorflow.serving.MonitoringConfig, which the package tensorflow-serving-api does not have: of
    tensorflow/serving (Apache-2.0), tensorflow_serving/config/monitoring_config.proto."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="monitoring_config.proto", package="tensorflow.serving", syntax="proto3"
    )
    prometheus = file.message_type.add(name="PrometheusConfig")
    prometheus.field.add(name="enable", number=1, type=field.TYPE_BOOL, label=field.LABEL_OPTIONAL)
    prometheus.field.add(name="path", number=2, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    file.message_type.add(name="MonitoringConfig").field.add(
        name="prometheus_config",
        number=1,
        type=field.TYPE_MESSAGE,
        type_name=".tensorflow.serving.PrometheusConfig",
        label=field.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.serving.MonitoringConfig"))


def annotations(found: Document) -> dict[str, str]:
    """Of the pods."""
    spec = found["spec"]
    metadata = spec["template"]["metadata"] if found["kind"] == "Deployment" else spec["predictor"]
    return metadata["annotations"]


@each_server
def test_probes_and_scrapes_ask_ports_that_the_server_listens_at(found: Document) -> None:
    container = server(found)
    options = arguments(found)
    if found is STOCK["kserve/tensorflow"]:
        options |= {name.removeprefix("--"): value for name, _, value in (o.partition("=") for o in RUNTIME)}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    grpc_port, rest_port = (
        int(options["port"]),
        int(options.get("rest-port") or options["rest_api_port"]),
    )
    assert list(ports.values()) == [grpc_port, rest_port]
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container[kind]
        if "grpc" in probe:
            assert probe["grpc"]["port"] == grpc_port
        else:
            assert ports.get(probe["httpGet"]["port"], probe["httpGet"]["port"]) == rest_port
            assert probe["httpGet"]["path"] == "/v1/models/recommender"
    (endpoint,) = document("monitoring/pods.yaml", "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert ports[endpoint["port"]] == rest_port == int(annotations(found)["prometheus.io/port"])
    assert endpoint["path"] == annotations(found)["prometheus.io/path"]


@each_server
def test_a_pod_has_time_to_end_its_requests(found: Document) -> None:
    drain = float(arguments(found).get("drain-seconds", 0))
    assert seconds_before_sigterm(found) + drain + 10 <= pod_spec(found)["terminationGracePeriodSeconds"]


@each_server
def test_a_server_is_not_root_and_writes_nothing_of_its_image(found: Document) -> None:
    container = server(found)
    context = {**pod_spec(found).get("securityContext", {}), **container["securityContext"]}
    assert context["runAsNonRoot"] and context["runAsUser"] > 0
    assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    volumes = {volume["name"] for volume in pod_spec(found)["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/tmp"]


@pytest.mark.parametrize("way", ["westwork", "tensorflow-serving"])
def test_selectors_find_the_pods_of_either_way(way: str) -> None:
    found = SERVERS[way]
    labels = found["spec"]["template"]["metadata"]["labels"]
    services = [s["spec"]["selector"] for _, s in documents("common/*.yaml") if s["kind"] == "Service"]
    selectors = [
        *services,
        found["spec"]["selector"]["matchLabels"],
        document("common/disruption-budget.yaml", "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        document("monitoring/pods.yaml", "PodMonitor")["spec"]["selector"]["matchLabels"],
        *(
            constraint["labelSelector"]["matchLabels"]
            for constraint in pod_spec(found)["topologySpreadConstraints"]
        ),
    ]
    assert len(services) == 2
    for selector in selectors:
        assert selector.items() <= labels.items()
    names = {port["name"] for port in server(found)["ports"]}
    for _, service in documents("common/service.yaml"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    for path in ("common/autoscaler.yaml", "monitoring/autoscaler-on-requests.yaml"):
        target = document(path, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == (found["kind"], found["metadata"]["name"])


def test_the_two_ways_differ_in_their_server_alone() -> None:
    """So that one is rolled out over the other, under the same name, and clients need not know."""
    ours, stock = (copy.deepcopy(SERVERS[way]) for way in ("westwork", "tensorflow-serving"))
    for found in (ours, stock):
        spec = pod_spec(found)
        spec["containers"] = [{key: spec["containers"][0][key] for key in ("name", "ports", "resources")}]
        spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] != "config"]
    assert ours == stock


def test_under_kserve_our_server_runs_as_it_does_without() -> None:
    """But for the ports' names, by which KServe knows gRPC."""
    ours, under_kserve = (
        {key: value for key, value in server(found).items() if key not in ("name", "ports", "livenessProbe")}
        for found in (OURS["westwork"], OURS["kserve/westwork"])
    )
    assert ours == under_kserve


def test_the_volumes_are_there() -> None:
    claim = document("common/models.yaml", "PersistentVolumeClaim")["metadata"]["name"]
    for found in SERVERS.values():
        for volume in pod_spec(found)["volumes"]:
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] == claim
            if "configMap" in volume:
                for path in CONFIGS:
                    config = document(path, "ConfigMap")
                    assert volume["configMap"]["name"] == config["metadata"]["name"]
                    items = volume["configMap"].get("items", [])
                    assert {item["key"] for item in items} <= config["data"].keys()
    assert SERVERS["kserve/tensorflow"]["spec"]["predictor"]["model"]["storageUri"].startswith(
        f"pvc://{claim}/"
    )
    options, config = arguments(STOCK["tensorflow-serving"]), document(CONFIGS[0], "ConfigMap")["data"]
    named = {Path(options[flag]).name for flag in ("model_config_file", "monitoring_config_file")}
    assert named == config.keys()


def test_the_docs_name_every_manifest_and_no_other() -> None:
    text = (ROOT / "docs" / "serving.md").read_text()
    named = set(re.findall(r"kubeflow/serving/([\w/-]+\.yaml)", text))
    folders = set(re.findall(r"-f kubeflow/serving/([\w-]+)[\s`]", text))
    files = {str(path.relative_to(MANIFESTS)) for path in MANIFESTS.rglob("*.yaml")}
    assert named <= files
    assert files == named | {file for file in files if file.split("/")[0] in folders}


def test_no_yaml_file_holds_a_key_twice() -> None:
    """YAML takes the last in silence."""

    class Unique(yaml.SafeLoader):
        pass

    def mapping(loader: Unique, node: yaml.MappingNode) -> Document:
        keys = [loader.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), keys
        return loader.construct_mapping(node, deep=True)

    Unique.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    for file in MANIFESTS.rglob("*.yaml"):
        assert list(yaml.load_all(file.read_text(), Unique))
