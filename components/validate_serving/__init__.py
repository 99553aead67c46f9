"""The step before the push: the candidate answers as it will be served, or is not pushed."""
