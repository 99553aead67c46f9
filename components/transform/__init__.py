"""From raw examples to encoded features and the candidate table."""
