"""TFMA on the served signatures, the baselines, and the decision to bless."""
