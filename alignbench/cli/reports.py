"""Commands on arrays and on runs that there are: `from-arrays`, `report`, `diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbench.cli.options import add_options
from alignbench.cli.run import run_suite
from alignbench.errors import ConfigError

if TYPE_CHECKING:
    import argparse


_ARRAYS = {
    "data": ("labels", "groups", "dataset", "data_root", "n_samples"),
    "run": ("metrics", "method", "no_l2", "seed", "permutations", "output_dir", "run_name", "no_figures"),
}


def add_commands(commands: Any) -> None:
    """Add the commands."""
    arrays = commands.add_parser(
        "from-arrays",
        help="the whole suite on embeddings that you have: VISION.npy [VISION.npy ...] TEXT.npy",
        allow_abbrev=False,
    )
    arrays.add_argument(
        "files", nargs="+", metavar="FILE.npy", help="vision [n, d] each; the last one is text [n, d]"
    )
    arrays.add_argument("--dry-run", action="store_true", help="print the pytest run, and make none")
    arrays.add_argument(
        "-n", "--workers", metavar="N", help="run on so many processes, or auto (pytest-xdist)"
    )
    add_options(arrays, _ARRAYS)
    arrays.set_defaults(run=from_arrays, is_run=True)


def from_arrays(given: argparse.Namespace, extra: list[str]) -> int:
    """Run the suite on arrays."""
    if len(given.files) < 2:
        raise ConfigError(
            "from-arrays: expected one or more files of vision and then one of text, got one file"
        )
    for file in given.files:
        if not Path(file).is_file():
            raise ConfigError(f"from-arrays: there is no file {file}")
    *vision, text = given.files
    models = [f"--encoders={','.join(map(_spec, vision))}", f"--llms={_spec(text)}"]
    return run_suite(models, given, extra)


def _spec(file: str) -> str:
    if "," in file:
        raise ConfigError(f"from-arrays: {file!r}: a comma separates files; rename it")
    return f"npy:{file}"
