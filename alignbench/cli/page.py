"""`alignbench ui`: the web page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.cli.options import add_options, given_options

if TYPE_CHECKING:
    import argparse

_GIVEN = {
    "what the page offers beside the registered names, chosen at first": ("encoders", "llms"),
    "data": ("data_root", "dataset", "n_samples", "text_field"),
    "run": ("device", "dtype", "seed", "standins", "config", "cache_dir", "embedding_cache"),
}


def add_commands(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "ui",
        help="a web page on this machine: speed, attention, alignment, embedding, CORAL, end to end",
        description="A web page over the same experiments, on this machine only (extra `ui`: gradio). "
        "Models and data that are not registered are named here: the page takes no path and no address.",
        allow_abbrev=False,
    )
    parser.add_argument("--port", type=int, metavar="N", help="the port (default: a free one from 7860 on)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen (default: 127.0.0.1, only here)",
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name by which the page is opened, where --host is no name of it (repeatable)",
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open the browser")
    add_options(parser, _GIVEN)
    parser.set_defaults(run=show)


def show(given: argparse.Namespace) -> int:
    """Serve the page until it is interrupted."""
    from alignbench.ui.server import serve

    return serve(
        given_options(given), host=given.host, port=given.port, browser=not given.no_browser, names=given.name
    )
