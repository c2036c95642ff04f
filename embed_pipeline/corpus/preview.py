"""A look at some documents of a corpus before anything is computed: what is read, what is lost, where passages begin.

Nothing is stored. The documents and passages are those that a run would make of the same files.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import polars as pl

from embed_pipeline.corpus.chunking.seen import Seen, seen_by_encoder
from embed_pipeline.corpus.documents import ParsedCorpus, parse_corpus
from embed_pipeline.corpus.dropped import dropped_totals, lost_shares, meaning_of
from embed_pipeline.corpus.manifest import scan_corpus
from embed_pipeline.corpus.passages import cut_passages
from embed_pipeline.corpus.sources.detect import corpus_source
from embed_pipeline.corpus.told import told_by_document
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_text
from embed_pipeline.settings import CorpusSettings

DOCUMENTS = 10
MOST_DOCUMENTS = 100
_FIRST_LINES = 5
_LINE_CHARS = 200


@dataclass(frozen=True)
class Choice:
    """Which documents are looked at.

    Attributes:
        names: patterns (``*``, ``?``, ``[a-z]``) of paths below the corpus, of file names or of ids; none: any.
        count: how many, at most; of more, that many are chosen at random.
        seed: another one chooses others.
    """

    names: tuple[str, ...] = ()
    count: int = DOCUMENTS
    seed: int = 0


def preview_corpus(root: Path, settings: CorpusSettings, spec: EncoderSpec, choice: Choice) -> dict[str, Any]:
    """What a run would make of some documents.

    Returns:
        ``{"corpus", "kind", "readable": documents to choose from, "matching": of them those of the names, "chosen": of
        these, "names", "seed", "longest": tokens the encoder takes, "documents": [...], "dropped": totals by kind of
        these documents, "skipped": [{"path", "reason"}]}``. A document is ``{"doc_id", "path", "title", "language",
        "characters", "lines": the first, "metadata": name -> values, "sections": [{"heading", "level"}], "dropped":
        [{"kind", "meaning", "count", "characters", "examples"}], "lost": share of its characters, "passages": [...],
        "rest": text after them}``. A passage is ``{"passage_id", "title", "text", "start", "end", "between": text
        before it that is in no passage, "tokens", "seen": tokens, "seen_end": characters}``.

    Raises:
        InputError: there is no such corpus, nothing in it can be read, no document has such a name, or a row is
            malformed.
        ModelAccessError: the model folder has no readable tokenizer.json.
    """
    manifest = scan_corpus(root, settings)
    of_files = corpus_source(root, bool(settings.columns)).kind == "files"
    listed = manifest.filter(pl.col("status") == "skipped").select("path", "reason")
    if of_files:
        found = _matching(manifest["path"].to_list(), choice.names, root)
        readable = manifest.filter(pl.col("status") == "read")["path"].to_list()
        matching = [path for path in readable if path in found]
        chosen = _chosen(matching, choice)
        parsed = parse_corpus(root, manifest.filter(pl.col("path").is_in(chosen)), settings)
    else:
        parsed = parse_corpus(root, manifest, settings)
        readable = parsed.documents["doc_id"].to_list()
        found = _matching([*readable, *parsed.skipped["path"]], choice.names, root)
        matching = [doc_id for doc_id in readable if doc_id in found]
        chosen = _chosen(matching, choice)
    documents = parsed.documents.filter(pl.col("doc_id").is_in(chosen))
    skipped = [{"path": path, "reason": reason} for path, reason in pl.concat([parsed.skipped, listed]).iter_rows()]
    return {
        "corpus": str(root),
        "kind": parsed.kind,
        "readable": len(readable),
        "matching": len(matching),
        "chosen": len(chosen),
        "names": list(choice.names),
        "seed": choice.seed,
        "longest": spec.max_length("passage"),
        "documents": _shown(parsed, documents, spec, settings),
        "dropped": [row | {"meaning": meaning_of(row["kind"])} for row in dropped_totals(parsed.dropped).to_dicts()],
        "skipped": sorted(skipped, key=lambda row: bool(choice.names) and row["path"] not in found),
    }


@dataclass(frozen=True)
class Most:
    """How much of a preview a page is given: of each document its first passages and sections, of each passage and of
    each text between two of them its first characters, and the first of what was skipped.
    """

    passages: int = 200
    sections: int = 300
    characters: int = 20_000
    skipped: int = 200


def shortened(preview: Mapping[str, Any], most: Most) -> dict[str, Any]:
    """The same for a page; what is left out of a list or a text is counted beside it (``passages_left_out`` …)."""
    skipped = preview["skipped"]
    return {
        **preview,
        "documents": [_shortened_document(document, most) for document in preview["documents"]],
        "skipped": skipped[: most.skipped],
        "skipped_left_out": max(0, len(skipped) - most.skipped),
    }


def _shortened_document(document: Mapping[str, Any], most: Most) -> dict[str, Any]:
    passages, sections, limit = document["passages"], document["sections"], most.characters
    kept = [
        one
        | {"text": one["text"][:limit], "between": one["between"][:limit], "seen_end": min(one["seen_end"], limit)}
        | {"characters_left_out": max(0, len(one["text"]) - limit)}
        for one in passages[: most.passages]
    ]
    return {
        **document,
        "passages": kept,
        "passages_left_out": len(passages) - len(kept),
        "rest": document["rest"][:limit] if len(kept) == len(passages) else "",
        "sections": sections[: most.sections],
        "sections_left_out": max(0, len(sections) - most.sections),
    }


def _matching(names: Sequence[str], patterns: Sequence[str], root: Path) -> set[str]:
    """Those of ``names`` that a pattern fits, whole or from their last ``/`` on; all where there is no pattern."""
    if not patterns:
        return set(names)
    found: set[str] = set()
    for pattern in patterns:
        fitting = {name for name in names if _fits(name, pattern)}
        if not fitting:
            nearest = get_close_matches(pattern, names, 1) or get_close_matches(pattern, map(_last, names), 1)
            advice = f"; did you mean {nearest[0]}?" if nearest else "; patterns may hold *, ? and [a-z]."
            raise InputError(f"{root}: no document of the corpus is called {pattern!r}{advice}")
        found |= fitting
    return found


def _fits(name: str, pattern: str) -> bool:
    return pattern in (name, _last(name)) or fnmatchcase(name, pattern) or fnmatchcase(_last(name), pattern)


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _chosen(names: Sequence[str], choice: Choice) -> list[str]:
    """Those of the lowest hashes: most stay the same ones when files come and go."""
    return sorted(names, key=lambda name: sha256_text(f"{choice.seed} {name}"))[: choice.count]


def _shown(
    parsed: ParsedCorpus, documents: pl.DataFrame, spec: EncoderSpec, settings: CorpusSettings
) -> list[dict[str, Any]]:
    if documents.is_empty():
        return []
    passages = cut_passages(documents, parsed.kind, parsed.chunks, spec, settings).to_dicts()
    seen = seen_by_encoder(((row["title"], row["text"]) for row in passages), spec)
    of_document: dict[str, list[tuple[dict[str, Any], Seen]]] = {}
    for row, what in zip(passages, seen, strict=True):
        of_document.setdefault(row["doc_id"], []).append((row, what))
    lost = dict(lost_shares(documents, parsed.dropped).iter_rows())
    told = told_by_document(parsed.metadata)
    dropped: dict[str, list[dict[str, Any]]] = {}
    for loss in parsed.dropped.iter_rows(named=True):
        about = {"kind": loss["kind"], "meaning": meaning_of(loss["kind"])}
        dropped.setdefault(loss["doc_id"], []).append(
            about | {name: loss[name] for name in ("count", "characters", "examples")}
        )
    return [
        _document(row, of_document.get(row["doc_id"], []))
        | {"metadata": told.get(row["doc_id"], {})}
        | {"dropped": dropped.get(row["doc_id"], []), "lost": lost.get(row["doc_id"], 0.0)}
        for row in documents.iter_rows(named=True)
    ]


def _document(row: Mapping[str, Any], passages: Iterable[tuple[dict[str, Any], Seen]]) -> dict[str, Any]:
    text, place, shown = row["text"], 0, []
    for passage, seen in passages:
        shown.append(
            {name: passage[name] for name in ("passage_id", "title", "text", "start", "end")}
            | {"between": text[place : passage["start"]].strip()}
            | {"tokens": seen.tokens, "seen": seen.seen, "seen_end": seen.end}
        )
        place = max(place, passage["end"])
    lines = [line.strip()[:_LINE_CHARS] for line in text.split("\n") if line.strip()]
    return {
        **{name: row[name] for name in ("doc_id", "path", "title", "language")},
        "characters": len(text),
        "lines": lines[:_FIRST_LINES],
        "sections": [{"heading": one["heading"], "level": one["level"]} for one in row["sections"]],
        "passages": shown,
        "rest": text[place:].strip(),
    }
