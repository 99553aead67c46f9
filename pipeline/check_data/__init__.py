"""``westwork validate``: whether a run would take domain and data, found out without training.

Rows are read, judged and divided by ingestion's own code, so both say the same.
"""
