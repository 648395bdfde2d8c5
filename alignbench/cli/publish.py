"""`alignbench publish`: puts a run's scores into a folder that others can compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.errors import ConfigError
from alignbench.paths import exists, is_dir, user_path
from alignbench.units import plural

if TYPE_CHECKING:
    import argparse


def add_commands(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "publish",
        help="put a run's scores into a folder for others, who see them with --against",
        description="Writes one small file of the scores that encoders are ranked by into DIR/<digest of the "
        "data>/, where DIR is any folder, such as a git working tree. It holds no vectors, no text or image "
        "of the data and no command, and is refused if it would hold a path of this machine.",
        allow_abbrev=False,
    )
    parser.add_argument("run_folder", metavar="RUN", help="a run's folder, such as reports/latest")
    parser.add_argument("--to", required=True, metavar="DIR", help="the folder of shared results")
    parser.add_argument("--name", metavar="NAME", help="the name of the file (default: the run's name)")
    parser.set_defaults(run=publish)


def publish(arguments: argparse.Namespace) -> int:
    """Write the file, and print what is in it."""
    from alignbench.files import make_folder
    from alignbench.findings import Findings, is_baseline, write_text
    from alignbench.findings.publish import publication

    place = user_path(arguments.run_folder, "publish")
    if is_baseline(place):
        raise ConfigError(
            f"publish: {arguments.run_folder} is a baseline, which has not what ties are judged by; name a "
            "run's folder"
        )
    findings = Findings.read(place, arguments.run_folder)
    name = arguments.name or str(findings.run.get("id") or place.resolve().name)
    shared = user_path(arguments.to, "--to")
    if exists(shared) and not is_dir(shared):
        raise ConfigError(f"--to: {arguments.to} is a file; name a folder")
    published = publication(findings, name)
    path = shared / published.place
    if exists(path) and path.read_bytes() != published.text.encode():
        raise ConfigError(f"publish: {path} is there with other content; choose another name by --name")
    make_folder(path.parent)
    write_text(path, published.text)
    encoders = dict.fromkeys(str(score.encoder) for score in published.scores)
    print(f"{plural(len(published.scores), 'score')} of {', '.join(encoders)}: {path}")
    print("Look at the file before others do. They see it beside their own scores with:")
    print(f"  pytest benchmarks/ --align-against {arguments.to}")
    return 0
