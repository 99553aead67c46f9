"""The served model measured on held-out interactions, beside its rivals, and the gate before the push."""
