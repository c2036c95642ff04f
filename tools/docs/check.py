"""Checks the built site: every link leads somewhere, every page is in the menu, nothing is fetched from elsewhere.

The builder's strict mode looks at links between pages; this looks at what it gave: images, the menu, scripts, styles.
"""

import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lxml import html

ROOT = Path(__file__).parents[2]
LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
NOT_LOADED = {"canonical", "next", "prev", "edit"}  # rel of a <link> that fetches nothing

Pages = Mapping[Path, html.HtmlElement]


def faults(site: Path, config: Path) -> list[str]:
    """What is wrong with the site, one sentence each."""
    pages = {file: html.parse(file).getroot() for file in sorted(site.rglob("*.html"))}
    found = [fault for page, tree in pages.items() for fault in _faults(page, tree, pages)]
    menu = set(_menu(tomllib.loads(config.read_text("utf-8"))["project"]["nav"]))
    written = {file.relative_to(config.parent / "docs").as_posix() for file in (config.parent / "docs").rglob("*.md")}
    found += [f"{name} is in the menu of {config.name}, but not in docs/" for name in sorted(menu - written)]
    found += [f"docs/{name} is not in the menu of {config.name}" for name in sorted(written - menu)]
    return [fault.replace(f"{site}/", "") for fault in found]


def _faults(page: Path, tree: html.HtmlElement, pages: Pages) -> Iterator[str]:
    for element in tree.iter("a", *LOADED):
        loaded = element.tag in LOADED and not NOT_LOADED & set(element.get("rel", "").split())
        target = element.get("href" if element.tag == "a" else LOADED[element.tag])
        if not target:
            continue
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            if loaded and parts.scheme != "data":
                yield f"{page}: {target} would be fetched from elsewhere"
        elif page.name != "404.html":  # its links are relative to the root of the site
            yield from _broken(page, unquote(parts.path), unquote(parts.fragment), pages)


def _broken(page: Path, path: str, fragment: str, pages: Pages) -> Iterator[str]:
    target = (page.parent / path).resolve() if path else page
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        yield f"{page}: {path} does not exist"
    elif fragment and target in pages and not pages[target].xpath("//*[@id=$id or @name=$id]", id=fragment):
        yield f"{page}: {path}#{fragment} does not exist"


def _menu(entries: list[dict[str, object]]) -> Iterator[str]:
    for entry in entries:
        for value in entry.values():
            if isinstance(value, list):
                yield from _menu(value)
            else:
                yield str(value)


if __name__ == "__main__":
    found = faults((ROOT / "site").resolve(), ROOT / "zensical.toml")
    sys.stderr.write("".join(f"{fault}\n" for fault in found))
    sys.exit(1 if found else 0)
