"""From the user's files to interaction and candidate examples."""
