"""Make the cheap ones of the stale reference results again, each by the command that it holds."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys

from shared.code_digest import ROOT
from shared.command import Command, Work
from shared.stale import REFERENCE, Stale, stale_results

_SECONDS = 120.0
"""Processor time of a result that is cheap, at the most: a choice."""


def refreshable(found: Stale, seconds: float) -> bool:
    """Whether a result took at most so much, and its command needs no other checkout beside this one."""
    return found.seconds is not None and found.seconds <= seconds and "--beside" not in found.command


def _prepare(options: argparse.Namespace, command_line: str) -> Work:
    chosen = [found for found in stale_results() if refreshable(found, options.seconds)]

    def work() -> None:
        for found in chosen:
            print(found.command, flush=True)
            arguments = [*shlex.split(found.command)[1:], "--out", str(options.out)]
            subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True)
        print(f"{len(chosen)} made again in {options.out}; look at them, and move them to {REFERENCE}")

    return work


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds", type=float, default=_SECONDS, help="processor time of a result that is made again, at the most"
    )


COMMAND = Command("refresh", __doc__, _options, _prepare)
