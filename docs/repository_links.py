"""MkDocs hook: links from a page to files of the repository outside docs/ lead to copies of these on the site.

On GitHub such a link, ``../examples/swap_base.py`` say, leads to the file. A site has the folder ``docs/`` alone, so
what the pages lead to is laid under ``repository/``: scripts as pages, folders as lists of their files, all else as it
is. ``mkdocs.yml`` names this file.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PLACE = "repository"
SCRIPTS = {".py": "python", ".sh": "sh"}
"""Suffixes of files that are shown as pages, and their languages."""
FROM_THE_START = ("CHANGELOG.md", "CONTRIBUTING.md")
"""What the navigation names, whether a page leads there or not."""
_LINK = re.compile(r"(?<=\]\()[^)\s#]+")


def on_files(files: Files, config: Any) -> Files:
    """Add what the pages lead to, and what that leads to."""
    texts = [(file.src_uri, file.content_string) for file in files.documentation_pages()]
    waiting = [*FROM_THE_START, *(target for page, text in texts for target in _targets(page, text))]
    while waiting:
        target = waiting.pop()
        address = _address(target)
        if files.get_file_from_path(address) is not None:
            continue
        if address == f"{PLACE}/{target}" and not target.endswith(".md"):
            files.append(File.generated(config, address, abs_src_path=str(ROOT / target)))
            continue
        text = _page(target)
        files.append(File.generated(config, address, content=text))
        waiting += _targets(address, text)
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The text of a page with its links to the repository changed to those of the site."""

    def on_the_site(link: re.Match[str]) -> str:
        target = _target(page.file.src_uri, link[0])
        return link[0] if target is None else posixpath.relpath(_address(target), posixpath.dirname(page.file.src_uri))

    return _LINK.sub(on_the_site, markdown)


def _targets(page: str, text: str) -> Iterator[str]:
    """What a page leads to outside ``docs/``, by paths from the root of the repository."""
    for link in _LINK.findall(text):
        target = _target(page, link)
        if target is not None and not _documented(target):
            yield target


def _target(page: str, link: str) -> str | None:
    """The path from the root of the repository, or None of a link that stays within ``docs/`` or leads elsewhere."""
    inside = page.startswith(f"{PLACE}/")
    folder = posixpath.dirname(page.removeprefix(f"{PLACE}/") if inside else f"docs/{page}")
    target = posixpath.normpath(posixpath.join(folder, link))
    if "://" in link or target.startswith("..") or not (ROOT / target).exists():
        return None
    return None if _documented(target) and not inside else target


def _documented(target: str) -> bool:
    """Whether a file is of ``docs/``, which the site has from the start."""
    return target == "docs" or target.startswith("docs/")


def _address(target: str) -> str:
    """Where the site has a file of the repository."""
    if _documented(target):
        return target.removeprefix("docs").removeprefix("/") or "index.md"
    if (ROOT / target).is_dir():
        return f"{PLACE}/{target}/index.md"
    return f"{PLACE}/{target}.md" if Path(target).suffix in SCRIPTS else f"{PLACE}/{target}"


def _page(target: str) -> str:
    """Markdown of a file or folder of the repository."""
    file = ROOT / target
    if file.is_dir():
        names = sorted(path.name for path in file.iterdir() if path.is_file())
        linked = [f"[{name}]({name})" if Path(name).suffix in SCRIPTS else f"`{name}`" for name in names]
        return f"# {target}\n\n" + "".join(f"- {name}\n" for name in linked)
    text = file.read_text(encoding="utf-8")
    return text if file.suffix == ".md" else f"# {target}\n\n````{SCRIPTS[file.suffix]}\n{text}````\n"
