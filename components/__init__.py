"""What happens inside each pipeline step, one folder a step, in the order the data flows."""
