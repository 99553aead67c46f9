"""What every test shares: a quiet TensorFlow with the Keras that TFRS needs."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
