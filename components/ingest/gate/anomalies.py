"""TFDV's anomalies in words."""

from __future__ import annotations

from collections.abc import Iterator

from tensorflow_metadata.proto.v0 import anomalies_pb2

WHOLE_SPLIT = ""
"""In place of a feature: the anomaly is of the split as a whole."""


def describe_anomalies(anomalies: anomalies_pb2.Anomalies) -> Iterator[tuple[str, str]]:
    """Feature (or :data:`WHOLE_SPLIT`) and description of every anomaly, by feature."""
    for reason in anomalies.dataset_anomaly_info.reason:
        yield WHOLE_SPLIT, f"{reason.short_description}: {reason.description}"
    for feature in sorted(anomalies.anomaly_info):
        info = anomalies.anomaly_info[feature]
        for reason in info.reason or [info]:
            yield feature, f"{reason.short_description}: {reason.description}"
