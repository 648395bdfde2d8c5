"""report.html: a run on one page that needs nothing else, no network and no script to be read."""

from alignbench.show.html.page import report_html, write_report

__all__ = ["report_html", "write_report"]
