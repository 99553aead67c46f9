"""``westwork tune``: a search for the retrieval model's configuration."""
