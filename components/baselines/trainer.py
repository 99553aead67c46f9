"""What the BaselineTrainer step runs."""

from __future__ import annotations

from tfx.components.trainer.fn_args_utils import FnArgs

from components.baselines.config import TrainerConfig
from components.baselines.training import Positives, Validation, train
from components.ingest.declaration import HISTORY, WEIGHT
from components.retrieval.node import CONFIG_KEY
from components.retrieval.training_inputs import read_training_inputs
from components.transform.interaction_dataset import CANDIDATE_ROW


def run_fn(fn_args: FnArgs) -> None:
    """Trains the baselines on the positives of the train split, tuned on the eval split.

    Writes the files of :class:`~components.baselines.artifact.Baselines` as the model.
    """
    config = TrainerConfig.model_validate_json(fn_args.custom_config[CONFIG_KEY])
    inputs = read_training_inputs(fn_args, positives_only=True)
    names = (inputs.query_id[0], CANDIDATE_ROW, WEIGHT)
    positives = Positives(*(inputs.train.column(name).numpy() for name in names))
    # The same interactions that retrieval training would stop by, given as many.
    sample = inputs.validation.spread(config.validation_queries)
    histories, chosen = (sample.column(name).numpy() for name in (HISTORY, CANDIDATE_ROW))
    validation = Validation(histories, chosen, config.repeats)
    baselines, record = train(inputs.table.ids, positives, validation, config)
    baselines.save(fn_args.serving_model_dir, record)
