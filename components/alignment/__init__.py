"""The ranker teaches the towers: distillation of its scores, and alignment with it as a reward model."""
