"""What a home holds of a document that is to be removed for good.

Artifacts are immutable, so those made from the document go whole, with their keys and pointers; the next run makes
them again without it. Models stay, since they hold no text; they are named, for they were trained on it.
:mod:`embed_pipeline.stages.erase` removes what is found here.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from embed_pipeline.errors import ArtifactError, InputError
from embed_pipeline.files import sha256_file
from embed_pipeline.records import TableRow, passage_text
from embed_pipeline.stages.lineage import LISTING, SOURCE, ancestors, artifacts, inputs_of, made_from
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline.store.names import plain_name
from embed_pipeline.store.strings import WEIGHTS, strings_in, strings_of
from embed_pipeline.text.traces import Traces

ASKED = ("question", "answer", "judgement", "detail")
"""Columns with what was written about a document."""
LEAST_NAME = 5


@dataclass
class Purge:
    """What a home holds of some documents.

    Attributes:
        rows: the documents, from every version of their table.
        quoted: recognises their text wherever it stands.
        asked: recognises the questions about them, with answers and judgements.
        texts: everything of them that may have been encoded.
        doomed: artifacts made from them, in the order in which they are to be removed.
        models: models made from them, which stay, and whether their text was among what the model was trained on.
        also_in: other documents that hold a piece of the same text, which is then not taken for theirs.
    """

    home: Path
    rows: Sequence[TableRow]
    quoted: Traces
    asked: Traces = field(default_factory=Traces)
    texts: set[str] = field(default_factory=set)
    doomed: list[Artifact] = field(default_factory=list)
    models: dict[Artifact, bool] = field(default_factory=dict)
    also_in: list[str] = field(default_factory=list)

    @property
    def documents(self) -> list[str]:
        """Their ids."""
        return sorted({row["doc_id"] for row in self.rows})

    @property
    def recomputed(self) -> list[str]:
        """Assets in use that the next run has to make again."""
        store = Store(self.home)
        return sorted(one.asset for one in self.doomed if store.pointer(one.asset).get("version") == one.version)

    @cached_property
    def names(self) -> re.Pattern[str]:
        """Finds the documents' names; not those that are mere numbers or a few letters, which stand for anything."""
        found = {row[column] for row in self.rows for column in ("doc_id", "path")}
        told = [re.escape(name) for name in found if len(name) >= LEAST_NAME and not name.isdecimal()]
        return re.compile(rf"(?<![\w./-])(?:{'|'.join(told)})(?![\w.-])" if told else r"(?!)")

    def holds(self, texts: Iterable[str]) -> bool:
        """Whether one of the texts quotes or names the documents, or quotes what was asked about them."""
        return any(
            self.quoted.within(text) or self.asked.within(text) or self.names.search(text) is not None for text in texts
        )


def find(home: Path, names: Sequence[str]) -> Purge:
    """Find what a home holds of some documents; nothing is changed.

    Args:
        names: ids of documents, or their paths relative to the corpus folder.

    Raises:
        InputError: the home knows no document of that name.
    """
    store, wanted = Store(home), set(names)
    every = artifacts(store)
    sources = {one: rows for one in every if plain_name(one.asset) == SOURCE and (rows := _named_rows(one, wanted))}
    rows = [row for held in sources.values() for row in held]
    unknown = sorted(wanted - {row[column] for row in rows for column in ("doc_id", "path")})
    if unknown:
        raise InputError(
            f"{home}: holds no document {unknown[0]}. Documents are named by their path in the corpus folder, or by "
            "their id in a file of many; embed-pipeline show documents says where their table lies."
        )
    purge = Purge(home, rows, Traces(row["text"] for row in rows))
    purge.also_in = _leave_out_others(purge, sources)
    listings = [
        one for one in every if plain_name(one.asset) == LISTING and _named_rows(one, {row["path"] for row in rows})
    ]
    inputs = {(one.asset, one.version): inputs_of(store, one) for one in every}
    made = made_from([*sources, *listings], every, inputs)
    quoting = [one for one in every if one not in made and not is_model(one) and _quotes(one, purge.quoted)]
    purge.doomed = quoting + [one for one in made if not is_model(one)]
    trained = {(one.asset, one.version) for one in made if "training_set" in one.asset and _quotes(one, purge.quoted)}
    purge.models = {one: bool(trained & ancestors((one.asset, one.version), inputs)) for one in made if is_model(one)}
    _learn_what_was_asked(purge)
    return purge


def require_gone(purge: Purge, corpus: Path | None) -> None:
    """See that the corpus does not hold the documents any more: the next run would read them again.

    Raises:
        InputError: it does.
    """
    if corpus is None or not corpus.exists():
        return
    root = corpus if corpus.is_dir() else corpus.parent
    there = next(_still_there(purge, root), None)
    if there is not None:
        raise InputError(
            f"{there}: still holds a document to be purged, and the next run would read it again. Remove it from the "
            "corpus first, then purge."
        )


def is_model(artifact: Artifact) -> bool:
    """Whether it holds weights."""
    return any(path.suffix in WEIGHTS for path in artifact.path.rglob("*"))


def _still_there(purge: Purge, root: Path) -> Iterator[Path]:
    of_many = {row["path"] for row in purge.rows if row["path"] != row["doc_id"]}
    for path in sorted(of_many):
        if (root / path).is_file() and purge.quoted.among(strings_in(root / path)):
            yield root / path
    single = {row["path"] for row in purge.rows} - of_many
    yield from (root / path for path in sorted(single) if (root / path).is_file())
    listings = [one for one in purge.doomed if plain_name(one.asset) == LISTING]
    contents = {(row["bytes"], row["sha256"]) for one in listings for row in _named_rows(one, single)}
    sizes = {size for size, _ in contents}
    for path in root.rglob("*"):
        size = path.stat().st_size if path.is_file() and not path.is_symlink() else -1
        if size in sizes and (size, sha256_file(path)) in contents:
            yield path


def _named_rows(artifact: Artifact, names: set[str]) -> list[dict[str, Any]]:
    """The rows of documents or of files with one of the names; none of a table that cannot be read."""
    import polars as pl

    try:
        table = artifact.scan()
        columns = [name for name in ("doc_id", "path") if name in table.collect_schema().names()]
        return table.filter(pl.any_horizontal(pl.col(columns).is_in(sorted(names)))).collect().to_dicts()
    except (ArtifactError, OSError, pl.exceptions.PolarsError):
        return []


def _quotes(artifact: Artifact, traces: Traces) -> bool:
    return any(file_holds(path, traces.among) for path in sorted(artifact.folder.rglob("*")) if path.is_file())


def file_holds(path: Path, among: Any) -> bool:
    """Whether ``among`` finds something in the texts of a file; one that cannot be read as what it is called is
    looked through as the bytes that it is.
    """
    import sqlite3

    from polars.exceptions import PolarsError

    try:
        return bool(among(strings_in(path)))
    except (OSError, sqlite3.Error, PolarsError):
        return path.is_file() and bool(among([path.read_bytes().decode("utf-8", "replace")]))


def _leave_out_others(purge: Purge, sources: Iterable[Artifact]) -> list[str]:
    import polars as pl

    also = set()
    for source in sources:
        others = source.scan().filter(~pl.col("doc_id").is_in(purge.documents)).select("doc_id", "text").collect()
        for doc_id, text in others.iter_rows():
            if purge.quoted.within(text):
                also.add(doc_id)
                purge.quoted.forget([text])
    return sorted(also)


def _learn_what_was_asked(purge: Purge) -> None:
    """Passages of the documents and questions about them; what is asked about others in the same words is no trace."""
    purge.texts |= {row["text"] for row in purge.rows}
    about_others: list[str] = []
    for one in purge.doomed:
        for path in sorted(one.path.glob("*.parquet")):
            for row, is_theirs in _rows_about(path, set(purge.documents)):
                asked = list(strings_of([row[name] for name in ASKED if row.get(name)]))
                if not is_theirs:
                    about_others += asked
                    continue
                purge.asked.add(asked, short=False)
                purge.texts |= {*asked, *strings_of([row.get("text"), row.get("title")])}
                purge.texts.add(passage_text(row.get("title") or "", row.get("text") or ""))
    purge.asked.forget(about_others)


def _rows_about(path: Path, documents: set[str]) -> Iterator[tuple[dict[str, Any], bool]]:
    """Rows of passages and of questions, and whether they are about the documents."""
    import polars as pl

    table = pl.scan_parquet(path)
    columns = table.collect_schema().names()
    owner = next((name for name in ("doc_ids", "doc_id") if name in columns), None)
    if owner is None:
        return
    for row in table.collect().iter_rows(named=True):
        found = set(row[owner] or ()) if owner == "doc_ids" else {row[owner]}
        if found & documents or "question" in columns:
            yield row, bool(found & documents)
