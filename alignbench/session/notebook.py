"""The table by which a notebook shows a session."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alignbench.session.workbench import Workbench


def selection_table(session: Workbench) -> str:
    """Return a session's models, data, number of samples and seed as an HTML table.

    Nothing is read or loaded for it: data that has not been read yet is only named.
    """
    rows = "".join(
        f"<tr><th scope='row' style='text-align:left'>{html.escape(head)}</th>"
        f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
        for head, text in _rows(session)
    )
    return f"<table><caption>alignbench session</caption><tbody>{rows}</tbody></table>"


def _rows(session: Workbench) -> Iterator[tuple[str, str]]:
    for head, models in (("encoder", session.encoders), ("LLM", session.llms)):
        for model in models.values():
            yield head, f"{model.info.label}: {model.info.weights_words}, from {model.info.source}"
    if "dataset" in vars(session):
        yield from (("data", line) for line in session.dataset.describe())
    else:
        options = session.options
        place = options.data or options.dataset or options.data_root
        place = place or ("the rows of the arrays" if session.rows else "")
        yield "data", f"{place or 'as configured'}, not read yet"
    yield "samples per type", str(session.options.n_samples)
    yield "seed", str(session.options.seed)
