"""SavedModels as others make them, for what TensorFlow Serving's own tests ask of such."""

from pathlib import Path

import tensorflow as tf

ECHOED = {
    "int32": tf.int32,
    "int64": tf.int64,
    "float": tf.float32,
    "double": tf.float64,
    "bool": tf.bool,
    "string": tf.string,
    "int8": tf.int8,
    "uint8": tf.uint8,
    "int16": tf.int16,
    "uint32": tf.uint32,
    "uint64": tf.uint64,
}
"""Signatures of the model ``echo`` that give their only input, of any shape, and its dtype."""
NAMED = {
    "int_tensor": tf.int32,
    "str_tensor": tf.string,
    "float_tensor": tf.float32,
    "dbl_tensor": tf.float64,
}
"""Inputs and outputs of its signature ``named``."""


class HalfPlus(tf.Module):
    """x / 2 and a number: the model of TensorFlow Serving's quick start, whose signature says [?, 1]."""

    def __init__(self, number: float):
        super().__init__()
        self.half, self.number = tf.Variable(0.5), tf.Variable(number)

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, name="x")], autograph=False)
    def predict(self, x):
        return {"y": self.half * x + self.number}


def save_half_plus(path: Path, number: float) -> None:
    """Writes the model; what it takes is left to its graph, which takes any shape."""
    model = HalfPlus(number)
    tf.saved_model.save(model, str(path), signatures=model.predict)


def save_echo(path: Path) -> None:
    """Writes a model whose signatures give what they are given."""

    def echo(dtype, name="y"):
        spec = tf.TensorSpec(None, dtype, name="x")
        said = tf.function(lambda x: {name: tf.identity(x)}, input_signature=[spec], autograph=False)
        return said.get_concrete_function()

    specs = {name: tf.TensorSpec(None, dtype, name=name) for name, dtype in NAMED.items()}
    named = tf.function(
        lambda **inputs: {name: tf.identity(value) for name, value in inputs.items()}, autograph=False
    ).get_concrete_function(**specs)
    signatures = {name: echo(dtype) for name, dtype in ECHOED.items()}
    signatures |= {"named": named, "bytes": echo(tf.string, "y_bytes"), "serving_default": echo(tf.float32)}
    keeper = tf.Module()
    keeper.kept = list(signatures.values())
    tf.saved_model.save(keeper, str(path), signatures=signatures)
