"""The ranking model and its training."""
