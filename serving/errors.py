"""What goes wrong with a model or with a request, and gRPC's code for it."""

from __future__ import annotations

import re

import grpc
import tensorflow as tf

_ASSERTION = re.compile(r"assertion failed: \[(.*?)[\s.]*\]")
_CODES: dict[int | grpc.StatusCode, grpc.StatusCode] = {
    **{code.value[0]: code for code in grpc.StatusCode},
    **{code: code for code in grpc.StatusCode},
}


class ModelError(Exception):
    """A model that cannot be loaded, or a request that it does not take."""


class RequestError(ModelError):
    """A request that is not answered.

    Attributes:
        code: Why, in gRPC's terms; REST has a number for each.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        """A refusal.

        Args:
            code: gRPC's status.
            message: What was found, what was expected.
        """
        super().__init__(message)
        self.code = code


def invalid(message: str) -> RequestError:
    """A request that must be changed before it can be answered."""
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> RequestError:
    """A request for a model, version or signature that is not there."""
    return RequestError(grpc.StatusCode.NOT_FOUND, message)


def status_code(code: int | grpc.StatusCode) -> grpc.StatusCode:
    """The status that a number stands for in gRPC; a status is itself."""
    return _CODES.get(code, grpc.StatusCode.UNKNOWN)


def shortened(text: str, most: int = 60) -> str:
    """A value in words for a message, cut where it is long."""
    return text if len(text) <= most else f"{text[:most]}…"


def of_tensorflow(error: tf.errors.OpError, signature: str) -> RequestError:
    """What TensorFlow says of a failed run, without the graph's node names.

    Args:
        error: As raised by the run; its codes are gRPC's.
        signature: Which one was run.
    """
    message = error.message.partition("\n\t [[")[0]
    assertion = _ASSERTION.search(message)
    reason = assertion.group(1) if assertion else message
    return RequestError(status_code(error.error_code), f"signature {signature!r} failed: {reason}")
