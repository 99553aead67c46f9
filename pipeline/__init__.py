"""Which steps there are and in what order; the domain file, the runner and the command line."""
