"""One self-contained page that sets the paper's claims and the runs side by side."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from paper import experiments
from paper.experiment import PROFILES
from paper.table import columns

_STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 1600px; margin: 2em auto; padding: 0 1em; color: #222 }
section { display: grid; grid-template-columns: 20em minmax(0, 1fr); gap: 0 2em; border-top: 1px solid #ccc }
@media (max-width: 60em) { section { display: block } }
.claim { background: #f5f5f0; padding: .5em 1em; align-self: start; position: sticky; top: 0 }
.scroll { overflow-x: auto } img { max-width: 100%; height: auto } .run { color: #555 }
table { border-collapse: collapse; font-size: 13px }
nav a { margin-right: 1em } td, th { padding: .2em .7em; text-align: right } tr { border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left }
"""


def page(folder: Path) -> str:
    """The page about the records in a folder, as HTML.

    Raises:
        ValueError: the folder holds no record of an experiment.
    """
    found = [record | {"stem": file.stem} for file in sorted(folder.glob("*.json")) if (record := _record(file))]
    if not found:
        raise ValueError(f"--results must be a folder with records of experiments, got {folder}")
    by_name = {name: [r for r in found if r["experiment"] == name] for name in experiments.names()}
    sections = [_section(name, runs, folder) for name, runs in by_name.items() if runs]
    title = "Spread flows: the paper and the runs"
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>{_contents(by_name)}{''.join(sections)}</body></html>\n"
    )


def _record(file: Path) -> dict[str, Any] | None:
    """The content of a file if it is what a run of an experiment wrote."""
    content = json.loads(file.read_text())
    return content if isinstance(content, dict) and {"experiment", "profile", "results"} <= content.keys() else None


def _contents(by_name: Mapping[str, Sequence[object]]) -> str:
    links = (f"<a href='#{name}'>{name}</a>" for name, runs in by_name.items() if runs)
    return f"<nav>{' '.join(links)}</nav>"


def _section(name: str, runs: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """What the paper reports and what was found on the left, the runs on the right, the longest first."""
    order = {profile: i for i, profile in enumerate(reversed(PROFILES))}
    shown = [_run(name, run, folder) for run in sorted(runs, key=lambda run: (order[run["profile"]], run["seed"]))]
    paragraphs = "".join(f"<p>{_prose(part)}</p>" for part in experiments.description(name).split("\n\n"))
    claim = f"<div class='claim'><h2>{name}</h2>{paragraphs}</div>"
    return f"<section id='{name}'>{claim}<div>{''.join(shown)}</div></section>"


def _run(name: str, run: Mapping[str, Any], folder: Path) -> str:
    heading = f"<h3>Profile {run['profile']}, seed {run['seed']}{'' if run['finished'] else ', unfinished'}</h3>"
    picture = folder / f"{run['stem']}.png"
    image = ""
    if picture.exists():
        content = base64.b64encode(picture.read_bytes()).decode()
        image = f"<img alt='{name}: the pictures of the run' src='data:image/png;base64,{content}'>"
    return heading + _facts(run) + image + _table(run)


def _prose(text: str) -> str:
    """A docstring's paragraph, its literals as code."""
    return re.sub(r"``(.+?)``", r"<code>\1</code>", escape(text))


def _facts(run: Mapping[str, Any]) -> str:
    """Command, commit, machine, time, and how much of the paper's schedule was done where the paper has one."""
    seconds = sum(result.get("seconds", 0.0) for result in run["results"].values())
    accelerator = run["machine"]["accelerator"] or f"{run['machine']['cores']} cores"
    facts = f"commit {run['commit']}, {accelerator}, {seconds / 60.0:.0f} minutes of training"
    if run["share_of_paper"] and "paper" in experiments.load(run["experiment"]).profiles:
        shares = ", ".join(f"{flow} {share:.0%}" for flow, share in run["share_of_paper"].items())
        facts += f"; rows of data as a share of the paper's schedule: {shares}"
    return f"<p class='run'><code>{escape(run['command'])}</code><br>{escape(facts)}</p>"


def _table(run: Mapping[str, Any]) -> str:
    """The numbers, a row each, with a column for each flow: there are few flows and many numbers."""
    header, rows = columns(run)
    first, *lines = zip(header, *rows)
    head = "".join(f"<th>{escape(cell)}</th>" for cell in first)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    return f"<div class='scroll'><table><tr>{head}</tr>{body}</table></div>"
