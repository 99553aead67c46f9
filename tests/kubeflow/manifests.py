"""The serving manifests, and their check against the schemas of what they declare.

Kubernetes' own kinds have the JSON schemas of the package kubernetes-validate, which are made from
Kubernetes' OpenAPI description. Those of other kinds are below, as far as the manifests use them: a field
that is not there is refused, also one that the kind does have.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from kubernetes_validate.utils import major_minor, schema_contents
from reading_club import ROOT
from referencing import Registry, Resource

MANIFESTS = ROOT / "kubeflow" / "serving"
OLDEST, NEWEST = "1.27", major_minor(kubernetes_validate.latest_version())
"""Kubernetes' versions to check against; in the oldest, probes over gRPC became stable."""

Document = dict[str, Any]


def documents(path: str = "**/*.yaml") -> Iterator[tuple[str, Document]]:
    """Every document of the manifests, with its file's path among them.

    Args:
        path: Only of the files that match this.
    """
    for file in sorted(MANIFESTS.glob(path)):
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            yield str(file.relative_to(MANIFESTS)), document


def document(path: str, kind: str) -> Document:
    """The one document of a kind in a file."""
    (found,) = (content for _, content in documents(path) if content["kind"] == kind)
    return found


def pod_spec(found: Document) -> Document:
    """The pods' specification of a Deployment or an InferenceService."""
    spec = found["spec"]
    return spec["template"]["spec"] if found["kind"] == "Deployment" else spec["predictor"]


def server(found: Document) -> Document:
    """The one container that serves."""
    spec = pod_spec(found)
    if "model" in spec:
        return spec["model"]
    (container,) = spec["containers"]
    return container


def check(found: Document, version: str) -> None:
    """Holds a document against the schema of its kind.

    Args:
        found: It.
        version: Of Kubernetes, such as 1.37.

    Raises:
        jsonschema.ValidationError: If it is not as the schema says.
    """
    custom = _CUSTOM.get((found["apiVersion"], found["kind"]))
    if custom is None:
        kubernetes_validate.validate(found, version, strict=True)
        return
    definitions = _definitions(version)
    registry = Resource.from_contents(definitions) @ Registry()
    schema = _object(
        apiVersion=_STRING,
        kind=_STRING,
        metadata=_ref("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"),
        spec=custom(definitions["$defs"]),
        required=["spec"],
    )
    jsonschema.Draft202012Validator(schema, registry=registry).validate(found)


@cache
def _definitions(version: str) -> Document:
    return schema_contents(f"kubernetes-json-schema/v{version}.0-local-strict/_definitions.json", version)


_STRING = {"type": "string"}
_INTEGER = {"type": "integer"}
_STRINGS = {"type": "object", "additionalProperties": _STRING}
_DURATION = {
    "type": "string",
    "pattern": r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
}


def _object(*, required: list[str] | None = None, **properties: Any) -> Document:
    return {
        "type": "object",
        "properties": properties,
        "required": required or [],
        "additionalProperties": False,
    }


def _list(items: Document) -> Document:
    return {"type": "array", "items": items}


def _ref(name: str) -> Document:
    """One of Kubernetes' own types."""
    return {"$ref": f"https://kubernetes.io/api/_definitions.json#/$defs/{name}"}


def _fields(definitions: Document, name: str) -> dict[str, Document]:
    """The fields of one of Kubernetes' own types, for a type that has them among its own."""
    return {field: _ref(f"{name}/properties/{field}") for field in definitions[name]["properties"]}


def _inference_service(definitions: Document) -> Document:
    """Of serving.kserve.io/v1beta1, by kserve/kserve (Apache-2.0): pkg/apis/serving/v1beta1, its files
    component.go (ComponentExtensionSpec), predictor.go (PredictorSpec) and predictor_model.go (ModelSpec)."""
    extension = {
        "minReplicas": _INTEGER,
        "maxReplicas": _INTEGER,
        "scaleTarget": _INTEGER,
        "scaleMetric": {"enum": ["cpu", "memory", "concurrency", "rps"]},
        "labels": _STRINGS,
        "annotations": _STRINGS,
    }
    model = {
        "modelFormat": _object(name=_STRING, version=_STRING, required=["name"]),
        "runtime": _STRING,
        "runtimeVersion": _STRING,
        "storageUri": _STRING,
    }
    container = _fields(definitions, "io.k8s.api.core.v1.Container")
    return _object(
        predictor=_object(
            **_fields(definitions, "io.k8s.api.core.v1.PodSpec"),
            **extension,
            model=_object(**container, **model, required=["modelFormat"]),
        ),
        required=["predictor"],
    )


def _pod_monitor(definitions: Document) -> Document:
    """Of monitoring.coreos.com/v1, by prometheus-operator/prometheus-operator (Apache-2.0):
    example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml."""
    return _object(
        selector=_ref("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"),
        podMetricsEndpoints=_list(_object(port=_STRING, path=_STRING, interval=_DURATION)),
        required=["selector", "podMetricsEndpoints"],
    )


def _prometheus_rule(definitions: Document) -> Document:
    """Of the same, monitoring.coreos.com_prometheusrules.yaml."""
    rule = _object(
        alert=_STRING,
        expr=_STRING,
        **{"for": _DURATION},
        labels=_STRINGS,
        annotations=_STRINGS,
        required=["expr"],
    )
    return _object(groups=_list(_object(name=_STRING, rules=_list(rule), required=["name"])))


_CUSTOM = {
    ("serving.kserve.io/v1beta1", "InferenceService"): _inference_service,
    ("monitoring.coreos.com/v1", "PodMonitor"): _pod_monitor,
    ("monitoring.coreos.com/v1", "PrometheusRule"): _prometheus_rule,
}
