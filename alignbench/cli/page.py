"""`alignbench ui`: the web page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.cli.options import DATA, add_options, given_options

if TYPE_CHECKING:
    import argparse

_OPTIONS = {
    "models that the page offers beside the registered ones, and selects at first": ("encoders", "llms"),
    "data": (*DATA, "text_field"),
    "run": ("device", "dtype", "seed", "standins", "config", "cache_dir", "embedding_cache"),
}


def add_commands(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "ui",
        help="open a web page on this machine: speed, attention, alignment, embedding, CORAL, end to end",
        description="Serves the same experiments as a web page, on this machine only (extra `ui`: gradio). "
        "Models and data that are not registered have to be named here, because the page accepts no paths "
        "and no addresses.",
        allow_abbrev=False,
    )
    parser.add_argument("--port", type=int, metavar="N", help="the port (default: a free one from 7860 on)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="the address to listen on (default: 127.0.0.1, which only this machine can reach)",
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name under which browsers may open the page, if it differs from --host (repeatable)",
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open the browser")
    add_options(parser, _OPTIONS)
    parser.set_defaults(run=show)


def show(arguments: argparse.Namespace) -> int:
    """Serve the page until the user interrupts it."""
    from alignbench.ui.server import serve

    return serve(
        given_options(arguments),
        host=arguments.host,
        port=arguments.port,
        browser=not arguments.no_browser,
        names=arguments.name,
    )
