"""Ask the installed timm for repositories and notes of its pretrained names; store the unusual ones."""

from __future__ import annotations

import argparse
import json

from alignbench.encoders import timm_names


def main(argv: list[str]) -> None:
    """Rewrite `alignbench/encoders/timm_names.json`."""
    argparse.ArgumentParser(prog="python -m alignbench.measure timm_names", description=__doc__).parse_args(
        argv
    )
    table = timm_names.asked()
    timm_names.TABLE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(
        f"timm {table['timm']}: {len(table['repositories'])} names with another repository, "
        f"{sum(map(len, table['notes'].values()))} with a note; written to {timm_names.TABLE}"
    )
