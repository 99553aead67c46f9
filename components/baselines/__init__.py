"""Simple models, well tuned, that the recommender has to beat: iALS and item-kNN."""
