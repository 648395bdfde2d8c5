"""What the scores of a run say: rankings, ties, predictions, changes since an earlier run."""

from alignbench.findings.choice import RANKED_BY
from alignbench.findings.diff import Comparison, compare, read_recorded
from alignbench.findings.files import (
    REPORT,
    SCHEMA,
    SCHEMA_VERSION,
    append_score,
    read_run,
    read_scores,
    write_text,
)
from alignbench.findings.flags import FLAGS, meaning
from alignbench.findings.gate import check_gates, parse_gates
from alignbench.findings.ranking import Ranking, rank, rank_by_type

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
    "meaning",
    "parse_gates",
    "rank",
    "rank_by_type",
    "read_recorded",
    "read_run",
    "read_scores",
    "write_text",
]
