"""The explorer: a page on the REST port that shows what a model answers, and to whom."""
