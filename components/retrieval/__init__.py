"""The two-tower retrieval model and its training."""
