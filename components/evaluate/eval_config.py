"""The TFMA configuration of the Evaluators."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from components.assemble.config import HEADS_JSON
from components.evaluate import funnel, list_metrics, metrics
from components.evaluate.config import (
    CANDIDATE_MEAN,
    EXACT,
    EXACT_RANKER,
    FUNNEL,
    FUNNEL_METRICS,
    LIFTED,
    LOG_LOSS,
    OWN_FREQUENT,
    RATING,
    RECOMMEND,
    RELIABILITY,
    RETRIEVE,
    RETRIEVE_NEW,
    RETRIEVED,
    TRAINED,
    EvaluationConfig,
    baselines,
    head_metrics,
    lift_name,
    list_rivals,
    lower_is_better,
    measured_heads,
)
from components.evaluate.predictions import SLICES, Questions, gain_feature
from components.ingest.declaration import ACTION, POSITIVE, Declaration
from components.ranking.heads import Head

# Beside the rivals in ``label_keys``: TFMA hands the extractors this message and nothing else. No name of a
# rival or a head has a slash.
_QUERY: Final = "/query"
_MOMENT: Final = "/moment"
_HEADS: Final = "/heads"
_PAIRS: Final = "/ranked_pairs"
_INTERACTIONS: Final = "/max_interactions"
_BASELINES: Final = "/baselines"


def questions(config: config_pb2.EvalConfig) -> Questions:
    """Returns what an EvalConfig made by :func:`eval_config` asks of examples and models."""
    labels = config.model_specs[0].label_keys
    return Questions(
        query_id=labels[_QUERY],
        candidate_id=labels[RETRIEVE],
        timestamp=labels[_MOMENT],
        rating=labels.get(RATING),
        heads=HEADS_JSON.validate_json(labels[_HEADS]),
        ranked_pairs=int(labels[_PAIRS]),
        interactions=int(labels[_INTERACTIONS]),
        repeats=OWN_FREQUENT in labels,
        trained=tuple(rival for rival in TRAINED if rival in labels),
        baselines=labels.get(_BASELINES, ""),
    )


def with_baselines(config: config_pb2.EvalConfig, folder: str) -> config_pb2.EvalConfig:
    """Returns an EvalConfig whose :func:`questions` know where the trained baselines are."""
    found = config_pb2.EvalConfig()
    found.CopyFrom(config)
    for spec in found.model_specs:
        spec.label_keys[_BASELINES] = folder
    return found


def eval_config(
    declaration: Declaration, heads: Sequence[Head], config: EvaluationConfig, *, gate: bool = True
) -> config_pb2.EvalConfig:
    """Returns all metrics of all rivals, overall and by slice.

    Args:
        declaration: names the columns, and says whether there are ratings and negatives.
        heads: of the ranker.
        config: whether there are repeats; the bounds a model must keep to be blessed.
        gate: whether these bounds are applied; else the evaluation only measures. Bounds on metrics that
            the domain has not are left out: :meth:`EvaluationConfig.check` refuses those that were given.
    """
    log = declaration.interactions
    bounds = config if gate else None
    trained = config.baselines.kinds
    labels = dict.fromkeys(list_rivals(config.repeats, trained), log.candidate_id)
    specs = [_list_metrics(rival, bounds) for rival in labels]
    # After all of what they are differences of: TFMA derives them in this order.
    specs += [_lifts(rival, against, bounds) for rival, against in baselines(config.repeats, trained).items()]
    if log.rating:
        ratings = dict.fromkeys((RATING, CANDIDATE_MEAN), log.rating.column)
        labels |= ratings
        specs += [_rating_metrics(rival, bounds) for rival in ratings]
        specs += [_query_metrics(rival, log.query_id, log.rating.column, bounds) for rival in ratings]
    judged = measured_heads(log, heads)
    for head in judged:
        labels[head.name] = ACTION if head.actions else POSITIVE
        specs.append(_head_metrics(head.name, head_metrics(log), bounds))
        specs.append(_query_metrics(head.name, log.query_id, gain_feature(head.name), bounds))
    if config.ranked_pairs:
        labels |= dict.fromkeys((EXACT_RANKER, FUNNEL), log.candidate_id)
        specs += [_list_metrics(EXACT_RANKER, bounds), _funnel_metrics(bounds)]
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                signature_name=RECOMMEND,
                model_type=tfma.TF_GENERIC,
                label_keys={
                    _QUERY: log.query_id,
                    _MOMENT: log.timestamp.feature,
                    _HEADS: HEADS_JSON.dump_json(judged).decode(),
                    _PAIRS: str(config.ranked_pairs),
                    _INTERACTIONS: str(config.max_interactions),
                    **labels,
                },
            )
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(),
            *(config_pb2.SlicingSpec(feature_keys=[key]) for key in SLICES),
        ],
        metrics_specs=specs,
        options=config_pb2.Options(include_default_metrics={"value": False}),
    )


def _list_metrics(rival: str, gate: EvaluationConfig | None) -> config_pb2.MetricsSpec:
    def metric(class_name: str, name: str, **config: Any) -> config_pb2.MetricConfig:
        return _metric(rival, gate, class_name, list_metrics.__name__, name=name, **config)

    configured = [
        metric("RankGain", "recall@10", cutoff=10, gain="hit"),
        metric("RankGain", "recall@100", cutoff=100, gain="hit"),
        metric("RankGain", "ndcg@10", cutoff=10, gain="discounted"),
        metric("RankGain", "mrr", cutoff=RETRIEVED, gain="reciprocal"),
    ]
    if rival != EXACT_RANKER:
        # Of a sample, these would be something else than of everything.
        configured += [
            metric("Coverage", "coverage@10"),
            metric("Novelty", "novelty@10"),
            metric("PopularityBias", "popularity_bias@10"),
        ]
    if rival in (RETRIEVE, RETRIEVE_NEW, EXACT_RANKER):
        configured.append(metric("Positives", "positives"))
    if rival == RETRIEVE:
        configured += [
            _metric(rival, gate, "ExampleCount", module="", name="interactions"),
            metric("ListRecall", "ann_recall@100", truth=EXACT),
        ]
    return config_pb2.MetricsSpec(output_names=[rival], metrics=configured)


def _lifts(rival: str, against: Sequence[str], gate: EvaluationConfig | None) -> config_pb2.MetricsSpec:
    configured = [
        _metric(rival, gate, "Against", name=lift_name(name, baseline), metric=name, other=baseline)
        for baseline in against
        for name in LIFTED
    ]
    return config_pb2.MetricsSpec(output_names=[rival], metrics=configured)


def _rating_metrics(rival: str, gate: EvaluationConfig | None) -> config_pb2.MetricsSpec:
    configured = [_metric(rival, gate, "RootMeanSquare", name="rmse")]
    if rival == RATING:
        configured.append(
            _metric(
                rival, gate, "Against", name="rmse_ratio", metric="rmse", other=CANDIDATE_MEAN, ratio=True
            )
        )
    return config_pb2.MetricsSpec(output_names=[rival], metrics=configured)


def _funnel_metrics(gate: EvaluationConfig | None) -> config_pb2.MetricsSpec:
    metrics_of = [_metric(FUNNEL, gate, "FunnelShare", funnel.__name__, name=name) for name in FUNNEL_METRICS]
    return config_pb2.MetricsSpec(output_names=[FUNNEL], metrics=metrics_of)


_HEAD_CLASSES: Final = {"auc": "AUC", LOG_LOSS: "BinaryCrossEntropy", "calibration": "Calibration"}


def _head_metrics(head: str, names: Sequence[str], gate: EvaluationConfig | None) -> config_pb2.MetricsSpec:
    """TFMA's own metrics of a probability, and the reliability diagram of one that can be calibrated."""
    configured = [
        _metric(head, gate, _HEAD_CLASSES[name], module="", name=name)
        for name in names
        if name in _HEAD_CLASSES
    ]
    if "calibration" in names:
        configured.append(_metric(head, None, "CalibrationPlot", module="", name=RELIABILITY))
    return config_pb2.MetricsSpec(output_names=[head], metrics=configured)


def _query_metrics(
    rival: str, query_id: str, gain: str, gate: EvaluationConfig | None
) -> config_pb2.MetricsSpec:
    ndcg = _metric(rival, gate, "NDCG", module="", threshold_name="ndcg@10", name="ndcg", gain_key=gain)
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
        falls = lower_is_better(name)
        direction = (
            config_pb2.MetricDirection.LOWER_IS_BETTER
            if falls
            else config_pb2.MetricDirection.HIGHER_IS_BETTER
        )
        threshold.change_threshold.direction = direction
        threshold.change_threshold.relative.value = gate.max_regression if falls else -gate.max_regression
    return threshold
