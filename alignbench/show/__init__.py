"""Findings in the terminal, in Markdown and as a web page, and the files of a run."""

from alignbench.show.diff_markdown import markdown_diff
from alignbench.show.diff_terminal import terminal_diff
from alignbench.show.failures import failure_lines
from alignbench.show.folder import draw_figures, point_latest, write_run
from alignbench.show.spreadsheet import scores_csv
from alignbench.show.summary import summary_markdown
from alignbench.show.terminal import terminal_table

__all__ = [
    "draw_figures",
    "failure_lines",
    "markdown_diff",
    "point_latest",
    "scores_csv",
    "summary_markdown",
    "terminal_diff",
    "terminal_table",
    "write_run",
]
