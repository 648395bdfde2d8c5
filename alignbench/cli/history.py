"""`alignbench history`: how the scores have changed over the runs of a folder."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

from alignbench.paths import user_path

if TYPE_CHECKING:
    import argparse

PAGE = "history.html"


def add_commands(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "history",
        help="show how the scores have changed over the runs of a folder",
        description="Prints the encoders' scores for each LLM in the runs of a folder, with the change since "
        "the run before, and writes a page with pictures, tables and all metrics that encoders are ranked "
        "by. Runs of other data or settings are apart.",
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="REPORTS", help="the folder of the runs' folders, such as reports")
    parser.add_argument("--to", metavar="FILE", help=f"where to write the page (default: REPORTS/{PAGE})")
    parser.set_defaults(run=history_of)


def history_of(arguments: argparse.Namespace) -> int:
    """Print the history of a folder of runs, and write its page."""
    from alignbench.files import make_folder
    from alignbench.findings import History, write_text
    from alignbench.show.history import history_lines
    from alignbench.show.html.history import history_html

    folder = user_path(arguments.folder, "history")
    page = folder / PAGE if arguments.to is None else user_path(arguments.to, "--to")
    history = History.read(folder)
    make_folder(page.parent)
    write_text(page, history_html(history))
    width = max(80, shutil.get_terminal_size((100, 24)).columns)
    print("\n".join(history_lines(history, width, encoding=sys.stdout.encoding or "utf-8")))
    print(f"page: {page}")
    return 0
