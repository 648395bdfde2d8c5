"""What the scores of a run say: rankings, ties, predictions, and changes since an earlier run."""

from alignbench.findings.choice import RANKED_BY
from alignbench.findings.diff import Comparison, compare
from alignbench.findings.files import (
    REPORT,
    SCHEMA,
    SCHEMA_VERSION,
    append_score,
    is_baseline,
    read_run,
    read_scores,
    write_text,
)
from alignbench.findings.findings import Findings
from alignbench.findings.flags import FLAGS, meaning
from alignbench.findings.gate import check_gates, parse_gates
from alignbench.findings.history import History
from alignbench.findings.ranking import Ranking
from alignbench.findings.unlike import TIMED

__all__ = [
    "FLAGS",
    "RANKED_BY",
    "REPORT",
    "SCHEMA",
    "SCHEMA_VERSION",
    "TIMED",
    "Comparison",
    "Findings",
    "History",
    "Ranking",
    "append_score",
    "check_gates",
    "compare",
    "is_baseline",
    "meaning",
    "parse_gates",
    "read_run",
    "read_scores",
    "write_text",
]
