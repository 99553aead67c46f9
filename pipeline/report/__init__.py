"""One offline HTML page about a run: verdict, metrics, slices, training, data and lineage."""

from pipeline.report.page import write_report

__all__ = ["write_report"]
