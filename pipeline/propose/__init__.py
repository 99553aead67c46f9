"""Looks at a user's raw files and proposes a domain for them: ``westwork init``."""
