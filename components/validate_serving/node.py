"""The InfraValidator node: blesses a model that can be served where it is to be, as it is to be."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts
from tfx.types.standard_component_specs import BLESSING_KEY, MODEL_KEY

from components.validate_serving.config import ServingConfig
from components.validate_serving.executor import CONFIG_KEY, Executor


class InfraValidatorSpec(component_spec.ComponentSpec):
    """Input, output and settings of InfraValidator; the channels are those of TFX' own."""

    PARAMETERS = {CONFIG_KEY: component_spec.ExecutionParameter(type=str)}
    INPUTS = {MODEL_KEY: component_spec.ChannelParameter(type=standard_artifacts.Model)}
    OUTPUTS = {BLESSING_KEY: component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing)}


class InfraValidator(base_component.BaseComponent):
    """Serves the model, asks it, and emits the InfraBlessing that Pusher wants beside the Evaluator's.

    It does not wait for the Evaluator, whose figures people want to see of a model that cannot be served,
    too; on a cluster both run at the same time.
    """

    SPEC_CLASS = InfraValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, *, model: types.BaseChannel, config: ServingConfig):
        """Makes the node.

        Args:
            model: The Assembler's output.
            config: The serving section.
        """
        super().__init__(
            spec=InfraValidatorSpec(
                **{
                    MODEL_KEY: model,
                    CONFIG_KEY: config.model_dump_json(),
                    BLESSING_KEY: types.Channel(type=standard_artifacts.InfraBlessing),
                }
            )
        )
