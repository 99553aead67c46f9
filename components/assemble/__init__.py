"""Both models, the candidate table and the index in one servable SavedModel."""
