"""corpus: files, documents, passages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from embed_pipeline import charts, tables
from embed_pipeline.errors import SettingsError
from embed_pipeline.files import remembered_sha256, write_json
from embed_pipeline.progress import say
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import StageRun, Version, stage
from embed_pipeline.stages.inputs import BASE_MODEL, METADATA
from embed_pipeline.store.artifacts import Artifact
from embed_pipeline.store.home import is_home

if TYPE_CHECKING:
    import polars as pl

LISTING = ("corpus.max_file_mb", "corpus.include", "corpus.exclude", "corpus.sample", "corpus.columns")
READING = (
    "corpus.max_file_mb",
    "corpus.columns",
    "corpus.min_document_chars",
    "corpus.ocr",
    "corpus.near_duplicate_threshold",
)
CHUNKING = (
    "corpus.chunking",
    "corpus.passage_tokens",
    "corpus.min_passage_tokens",
    "corpus.sentences_per_passage",
    "corpus.near_duplicate_threshold",
    "corpus.split_long_rows",
)


def corpus_folder(settings: Settings) -> Path | str:
    """The corpus folder, or its address.

    Raises:
        SettingsError: none is set.
    """
    if settings.corpus.path is None:
        raise SettingsError("corpus.path is not set: name the folder of documents with --corpus DIR.")
    return settings.corpus.folder or settings.corpus.path


def corpus_listing(settings: Settings, home: Path) -> "pl.DataFrame":
    """The manifest that a run would make; of an address without hashes, since nothing is fetched.

    Raises:
        SettingsError: none is set.
        InputError: it cannot be listed, or holds nothing that is read.
    """
    from embed_pipeline.corpus.addresses.reading import listed
    from embed_pipeline.corpus.manifest import scan_corpus

    place = corpus_folder(settings)
    return scan_corpus(place, settings.corpus) if isinstance(place, Path) else listed(place, home, settings.corpus)


@contextmanager
def corpus_root(settings: Settings, home: Path) -> Iterator[Path]:
    """What readers read: the folder, or the copy of its address that a run has fetched.

    Raises:
        SettingsError: none is set.
        InputError: nothing was fetched of the address.
    """
    place = corpus_folder(settings)
    if isinstance(place, Path):
        yield place
        return
    from embed_pipeline.corpus.addresses.reading import corpus_at

    with corpus_at(place, home) as root:
        yield root


@contextmanager
def corpus_as_it_is(settings: Settings, home: Path) -> Iterator[Path | None]:
    """The same as it is now: of an address a copy that was made for it; None where no corpus is set.

    Raises:
        InputError: an address cannot be listed or fetched.
    """
    if settings.corpus.path is None:
        yield None
        return
    if settings.corpus.address is not None:
        _corpus_version(settings, home)
    with corpus_root(settings, home) as root:
        yield root


def corpus_external(settings: Settings) -> dict[str, Version]:
    """Content of the corpus, wherever it lies."""
    return {"corpus": lambda home: _corpus_version(settings, home)}


def _corpus_version(settings: Settings, home: Path) -> str:
    """By a home's memory of the files; a folder that is no home yet, as of --plan, gets none.

    What lies at an address is fetched for it, except where one only looks (``looking_only``).
    """
    from embed_pipeline.corpus.addresses.reading import address_version
    from embed_pipeline.corpus.fingerprint_cache import cache_file, cached_fingerprint
    from embed_pipeline.corpus.manifest import corpus_fingerprint
    from embed_pipeline.corpus.selection import selection_of

    folder, chosen = corpus_folder(settings), selection_of(settings.corpus)
    if isinstance(folder, str):
        return address_version(folder, home, chosen)
    if is_home(home):
        return cached_fingerprint(folder, cache_file(home, folder), chosen)
    return corpus_fingerprint(folder, chosen)


def tokenizer_external(settings: Settings) -> dict[str, Version]:
    """The base model's tokenizer, which measures passages."""
    return {"tokenizer": lambda _: _tokenizer_version(settings)}


def _tokenizer_version(settings: Settings) -> str:
    from embed_pipeline.encoders.base_model import find_base_model

    model = find_base_model(settings.base_model, settings.encoder.revision, settings.encoder.sha256)
    return remembered_sha256(model.path / "tokenizer.json")


@stage(
    group="corpus",
    version="2",
    storage="table",
    schema=tables.CorpusManifest,
    settings=LISTING,
    external=corpus_external,
    looks_at=("corpus.path",),
    kinds=("polars", "parquet"),
)
def corpus_manifest(run: StageRun) -> None:
    """Every file of the corpus folder: path, bytes, SHA-256; files that are skipped, with the reason."""
    from embed_pipeline.corpus.manifest import include_warning, scan_corpus

    with corpus_root(run.settings, run.home) as root:
        frame = scan_corpus(root, run.settings.corpus)
    run.write_table(frame)
    warning = include_warning(frame, run.settings.corpus)
    if warning is not None:
        say(f"warning: {warning}")
        run.summary["warning"] = warning
    read = frame.filter(frame["status"] == "read")
    run.summary |= {
        "files": read.height,
        "skipped_files": frame.height - read.height,
        "bytes": int(read["bytes"].sum()),
        **_where(run.settings, run.home),
    }


def _where(settings: Settings, home: Path) -> dict[str, str]:
    """The address that was listed, and its commit, so that the same can be read once more."""
    if settings.corpus.address is None:
        return {}
    from embed_pipeline.corpus.addresses.reading import revision_of

    revision = revision_of(settings.corpus.address, home)
    return {"address": settings.corpus.address, **({"revision": revision} if revision is not None else {})}


@stage(
    group="corpus",
    version="7",
    storage="table",
    schema=tables.Documents,
    settings=READING,
    kinds=("polars", "parquet"),
)
def documents(run: StageRun, corpus_manifest: Artifact) -> None:
    """Extracted text of every readable file with title, section headings, language and near-duplicate group.

    Beside it lies what the files tell of their documents (metadata): address, date, tags and the like. Nothing but
    beir_benchmark reads that, so that a changed tag changes no passage, question or model.
    """
    from embed_pipeline.corpus.documents import read_documents
    from embed_pipeline.corpus.dropped import dropped_table
    from embed_pipeline.corpus.kept import KeptCorpus
    from embed_pipeline.corpus.told import told_table

    with KeptCorpus.of(run.home) as kept, corpus_root(run.settings, run.home) as root:
        parsed = read_documents(root, corpus_manifest.frame(), run.settings.corpus, kept)
    run.write_table(parsed.documents)
    run.write_table(parsed.skipped, "skipped")
    run.write_table(parsed.dropped, "dropped", tables.Dropped)
    write_json(run.folder / "corpus.json", {"kind": parsed.kind})
    run.write_table(parsed.metadata, METADATA, tables.Metadata)
    if parsed.chunks is not None:
        run.write_table(parsed.chunks, "chunks", tables.Chunks)
    texts = parsed.documents["text"]
    lengths = [len(texts[place]) for place in range(len(texts))]  # polars would copy all of them
    run.summary |= {
        "documents": parsed.documents.height,
        "unreadable": parsed.skipped.height,
        "near_duplicates": parsed.documents.height - parsed.documents["group_id"].n_unique(),
        "characters": sum(lengths),
        "dropped_characters": int(parsed.dropped["characters"].sum()),
        "with_metadata": parsed.metadata["doc_id"].n_unique(),
    }
    if not parsed.metadata.is_empty():
        run.charts["metadata"] = told_table(parsed.metadata)
    if not parsed.dropped.is_empty():
        run.charts["left out or replaced"] = dropped_table(parsed.dropped)
    run.charts["document length"] = charts.histogram("document length", {"documents": lengths}, "characters")


@stage(
    group="corpus",
    version="5",
    storage="table",
    schema=tables.Passages,
    settings=CHUNKING,
    external=tokenizer_external,
    looks_at=BASE_MODEL,
    kinds=("polars", "parquet"),
)
def passages(run: StageRun, documents: Artifact) -> None:
    """Chunks of the documents with character spans, section and near-duplicate group."""
    from embed_pipeline.corpus.kept import KeptCorpus
    from embed_pipeline.corpus.passages import cut_passages, unseen_of, way_out
    from embed_pipeline.encoders.base_model import base_encoder_spec

    spec, kind = base_encoder_spec(run.settings.base_model, run.settings.encoder), documents.json("corpus")["kind"]
    chunks = documents.frame("chunks") if kind == "records" else None
    with KeptCorpus.of(run.home) as kept:
        frame = cut_passages(documents.frame(), kind, chunks, spec, run.settings.corpus, kept)
    run.write_table(frame)
    duplicates = frame.height - frame["group_id"].n_unique()
    run.summary |= {"passages": frame.height, "near_duplicates": duplicates, "tokens": int(frame["token_count"].sum())}
    unseen = unseen_of(frame, spec)
    run.summary |= {"passages_cut_off": unseen.cut_off, "unseen_tokens_share": round(unseen.share, 4)}
    told = unseen.line("passages", way_out(kind, run.settings.corpus))
    if told is not None:
        say(told)
    run.charts["passage length"] = charts.histogram(
        "passage length", {"passages": frame["token_count"].to_list()}, "tokens"
    )
