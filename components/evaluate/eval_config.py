"""The TFMA configuration of the Evaluators."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from components.evaluate import metrics
from components.evaluate.config import (
    CANDIDATE_MEAN,
    EXACT,
    LIFTED,
    LOWER_IS_BETTER,
    POPULARITY,
    POSITIVE_PROBABILITY,
    RATING,
    RECOMMEND,
    RETRIEVE,
    RETRIEVED,
    EvaluationConfig,
)
from components.evaluate.predictions import SLICES
from components.ingest.declaration import POSITIVE, Declaration


class Columns(NamedTuple):
    """The interaction columns an evaluation reads, besides the served model's inputs."""

    query_id: str
    candidate_id: str
    rating: str


def columns(config: config_pb2.EvalConfig) -> Columns:
    """Returns the columns an EvalConfig made by :func:`eval_config` was made for."""
    labels = config.model_specs[0].label_keys
    query_id = next(spec.query_key for spec in config.metrics_specs if spec.query_key)
    return Columns(query_id=query_id, candidate_id=labels[RETRIEVE], rating=labels[RATING])


def eval_config(declaration: Declaration, gate: EvaluationConfig | None = None) -> config_pb2.EvalConfig:
    """Returns all metrics of all rivals, overall and by slice.

    Args:
        declaration: names the columns.
        gate: the bounds a model must keep to be blessed; None to measure only.
    """
    interactions = declaration.interactions
    lists = dict.fromkeys((RETRIEVE, RECOMMEND, POPULARITY), interactions.candidate_id)
    ratings = dict.fromkeys((RATING, CANDIDATE_MEAN), interactions.rating.column)
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                signature_name=RECOMMEND,
                model_type=tfma.TF_GENERIC,
                label_keys={**lists, **ratings, POSITIVE_PROBABILITY: POSITIVE},
            )
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(),
            *(config_pb2.SlicingSpec(feature_keys=[key]) for key in SLICES),
        ],
        metrics_specs=[
            *(_list_metrics(rival, gate) for rival in lists),
            *(_judgement_metrics(rival, gate) for rival in (RATING, CANDIDATE_MEAN, POSITIVE_PROBABILITY)),
            *(
                _query_metrics(rival, interactions.query_id, interactions.rating.column, gate)
                for rival in ratings
            ),
        ],
        options=config_pb2.Options(include_default_metrics={"value": False}),
    )


def _list_metrics(rival: str, gate: EvaluationConfig | None) -> config_pb2.MetricsSpec:
    def rank_gain(name: str, cutoff: int, gain: str) -> config_pb2.MetricConfig:
        return _metric(rival, gate, "RankGain", name=name, cutoff=cutoff, gain=gain)

    configured = [
        rank_gain("recall@10", 10, "hit"),
        rank_gain("recall@100", 100, "hit"),
        rank_gain("ndcg@10", 10, "discounted"),
        rank_gain("mrr", RETRIEVED, "reciprocal"),
        _metric(rival, gate, "Coverage", name="coverage@10", cutoff=10),
    ]
    if rival == RETRIEVE:
        configured += [
            _metric(rival, gate, "Positives", name="positives"),
            _metric(rival, gate, "ListRecall", name="ann_recall@100", truth=EXACT),
        ]
    if rival != POPULARITY:
        configured += [
            _metric(rival, gate, "Against", name=f"{name}_lift", metric=name, other=POPULARITY)
            for name in LIFTED
        ]
    return config_pb2.MetricsSpec(output_names=[rival], metrics=configured)


def _judgement_metrics(rival: str, gate: EvaluationConfig | None) -> config_pb2.MetricsSpec:
    if rival == POSITIVE_PROBABILITY:
        configured = [_metric(rival, gate, "AUC", module="", name="auc")]
    else:
        configured = [_metric(rival, gate, "RootMeanSquare", name="rmse")]
    if rival == RATING:
        configured += [
            _metric(rival, gate, "ExampleCount", module="", name="interactions"),
            _metric(
                rival, gate, "Against", name="rmse_ratio", metric="rmse", other=CANDIDATE_MEAN, ratio=True
            ),
        ]
    return config_pb2.MetricsSpec(output_names=[rival], metrics=configured)


def _query_metrics(
    rival: str, query_id: str, rating: str, gate: EvaluationConfig | None
) -> config_pb2.MetricsSpec:
    ndcg = _metric(rival, gate, "NDCG", module="", threshold_name="ndcg@10", name="ndcg", gain_key=rating)
    return config_pb2.MetricsSpec(
        output_names=[rival],
        query_key=query_id,
        binarize={"top_k_list": {"values": [10]}},
        metrics=[ndcg],
    )


def _metric(
    rival: str,
    gate: EvaluationConfig | None,
    class_name: str,
    module: str = metrics.__name__,
    threshold_name: str | None = None,
    **config: Any,
) -> config_pb2.MetricConfig:
    """Returns a metric with the gate's bounds on it, found by threshold_name where ``name`` is not shown."""
    configured = config_pb2.MetricConfig(class_name=class_name, module=module, config=json.dumps(config))
    if gate is not None:
        threshold = _threshold(f"{rival}/{threshold_name or config['name']}", gate)
        if threshold.ByteSize():
            # Without a slicing spec TFMA would hold every slice to the bound.
            overall = config_pb2.PerSliceMetricThreshold(
                threshold=threshold, slicing_specs=[config_pb2.SlicingSpec()]
            )
            configured.per_slice_thresholds.append(overall)
    return configured


def _threshold(name: str, gate: EvaluationConfig) -> config_pb2.MetricThreshold:
    threshold = config_pb2.MetricThreshold()
    if name in gate.floors:
        threshold.value_threshold.lower_bound.value = gate.floors[name]
    if name in gate.ceilings:
        threshold.value_threshold.upper_bound.value = gate.ceilings[name]
    if name in gate.regression_gates:
        lower_is_better = name in LOWER_IS_BETTER
        direction = (
            config_pb2.MetricDirection.LOWER_IS_BETTER
            if lower_is_better
            else config_pb2.MetricDirection.HIGHER_IS_BETTER
        )
        threshold.change_threshold.direction = direction
        threshold.change_threshold.relative.value = (
            gate.max_regression if lower_is_better else -gate.max_regression
        )
    return threshold
