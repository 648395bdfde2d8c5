"""What a run leaves: scores, ranking, summary, figures, and the table in the terminal."""

from alignbench.report.choice import RANKED_BY
from alignbench.report.diff import Comparison, compare, read_recorded
from alignbench.report.diff_markdown import markdown_diff
from alignbench.report.diff_terminal import terminal_diff
from alignbench.report.failures import failure_lines
from alignbench.report.files import REPORT, SCHEMA, append_score, read_scores, write_text
from alignbench.report.flags import FLAGS, meaning
from alignbench.report.gate import check_gates, parse_gates
from alignbench.report.ranking import Ranking, rank, rank_by_type
from alignbench.report.run import (
    SCHEMA_VERSION,
    draw_figures,
    point_latest,
    read_run,
    scores_csv,
    write_run,
)
from alignbench.report.summary import summary_markdown
from alignbench.report.terminal import terminal_table

__all__ = [
    "FLAGS",
    "RANKED_BY",
    "REPORT",
    "SCHEMA",
    "SCHEMA_VERSION",
    "Comparison",
    "Ranking",
    "append_score",
    "check_gates",
    "compare",
    "draw_figures",
    "failure_lines",
    "markdown_diff",
    "meaning",
    "parse_gates",
    "point_latest",
    "rank",
    "rank_by_type",
    "read_recorded",
    "read_run",
    "read_scores",
    "scores_csv",
    "summary_markdown",
    "terminal_diff",
    "terminal_table",
    "write_run",
    "write_text",
]
