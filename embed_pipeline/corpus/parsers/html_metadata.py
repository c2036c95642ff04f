"""What the head of an HTML page tells of it: ``meta`` by name or property, the canonical address, the language."""

from collections.abc import Iterator
from typing import Any

from embed_pipeline.corpus.parsers.html_parts import names
from embed_pipeline.corpus.parsers.metadata import About

_META = {
    "url": "og:url dc.identifier.uri",
    "date": "article:published_time og:published_time datepublished date dc.date dcterms.date dcterms.created "
    "dcterms.issued dc.date.issued dc.date.created citation_publication_date citation_date pubdate publish-date "
    "publishdate parsely-pub-date sailthru.date article:modified_time og:updated_time dcterms.modified datemodified "
    "last-modified revised",
    "tags": "article:tag keywords news_keywords dc.subject dcterms.subject citation_keywords",
    "groups": "article:section category",
    "author": "author dc.creator dcterms.creator citation_author article:author",
    "language": "content-language dc.language dcterms.language og:locale",
}
"""Names and properties, those that tell most first."""
_ITEMS = names("datepublished datemodified")
"""Of microdata: authors and the like are those of comments and quotations, too."""


def page_metadata(tree: Any, about: About) -> None:
    """Tell of a page; descriptions are none of it.

    Args:
        tree: the whole page.
    """
    given = _metas(tree)
    for link in tree.iter("link"):
        if "canonical" in names(link.get("rel", "").lower()):
            about.add("url", link.get("href"))
    about.add("language", tree.get("lang"))
    for name, sources in _META.items():
        for source in sources.split():
            for content in given.get(source, ()):
                if name != "author" or "://" not in content:  # article:author is mostly the address of a profile
                    about.add(name, content)


def _metas(tree: Any) -> dict[str, list[str]]:
    """Name or property in lower case -> contents."""
    found: dict[str, list[str]] = {}
    for meta in tree.iter("meta"):
        for key in _keys(meta):
            found.setdefault(key, []).append(meta.get("content", ""))
    return found


def _keys(meta: Any) -> Iterator[str]:
    if not meta.get("content", "").strip():
        return
    yield meta.get("name", meta.get("http-equiv", "")).strip().lower()
    yield from names(meta.get("property", "").lower())
    yield from names(meta.get("itemprop", "").lower()) & _ITEMS
