"""One Predict request, whichever way it came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from tensorflow_serving.apis import model_pb2

from serving.bounds import check_answer
from serving.joining import check_rows
from serving.registry import Registry
from serving.runner import Runner
from serving.tensors import Signature, checked_outputs


@dataclass(frozen=True)
class Prediction:
    """An answer.

    Attributes:
        spec: Which model, version and signature gave it.
        outputs: By name.
    """

    spec: model_pb2.ModelSpec
    outputs: Mapping[str, np.ndarray]


class Predictor:
    """Finds the version a request is for, checks the request and has it run."""

    def __init__(self, registry: Registry, runner: Runner) -> None:
        """What it needs.

        Args:
            registry: The models.
            runner: Where they run.
        """
        self._registry, self._runner = registry, runner

    async def predict(
        self,
        spec: model_pb2.ModelSpec,
        inputs_of: Callable[[Signature], Mapping[str, np.ndarray]],
        output_filter: Iterable[str] = (),
    ) -> Prediction:
        """Answers a request.

        Args:
            spec: Which model, version or label, and signature it names.
            inputs_of: Reads and checks the request's inputs, once the signature is known.
            output_filter: The outputs it names; all where it names none.

        Raises:
            RequestError: If it cannot be answered.
        """
        with self._runner.admitted():
            lease = self._registry.lease(spec)
            try:
                signature = lease.model.signature(spec.signature_name)
                inputs = inputs_of(signature)
                outputs = checked_outputs(signature, output_filter)
                if lease.model.candidates is None:
                    arrays = [inputs[name] for name in signature.row_inputs]
                    rows = max((len(array) for array in arrays if array.ndim), default=1)
                else:
                    rows = check_rows(signature, inputs)
                    most = self._runner.limits.message_bytes
                    check_answer(signature, inputs, outputs, rows, lease.model.candidates, most)
            except BaseException:
                lease.release()
                raise
            answered = await self._runner.run(lease, signature, inputs, outputs, rows)
            return Prediction(answered_spec(lease.name, lease.version, signature.name), answered)


def answered_spec(name: str, version: int, signature: str = "") -> model_pb2.ModelSpec:
    """Says in an answer what gave it."""
    spec = model_pb2.ModelSpec(name=name, signature_name=signature)
    spec.version.value = version
    return spec
