"""What lies outside the store and what several stages take in."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from embed_pipeline.files import sha256_json
from embed_pipeline.progress import say
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import Version
from embed_pipeline.store.artifacts import Artifact

if TYPE_CHECKING:
    import polars as pl

    from embed_pipeline.llm.responses import ResponseStore
    from embed_pipeline.records import RetrievalSet

BASE_MODEL = ("base_model", "encoder")
"""The settings that say which base model it is and how it encodes."""
GOLD = ("eval.gold", "eval.gold_sets")
"""The settings that name the questions of people."""
EVALUATED = (*GOLD, "eval.general")
MEASURING = ("eval", "corpus.split_long_rows")
"""The settings that decide how models are measured."""
QUERY_LOG = "eval.query_log"
VALIDATION = "validation"
"""In the benchmark: the validation questions in other words, which choose how the fusion weighs."""
METADATA = "metadata"
"""The table beside documents that holds what the corpus tells of them; passages have it by their document."""


def uses_llm(settings: Settings) -> bool:
    """Whether a chat endpoint writes questions."""
    sdg = settings.sdg
    return sdg.generates and (sdg.names_engine or (sdg.engine == "auto" and sdg.llm.base_url is not None))


def base_model_version(settings: Settings) -> str:
    """Of the base model's content and how it encodes."""
    from embed_pipeline.encoders.base_model import base_encoder_spec

    return base_encoder_spec(settings.base_model, settings.encoder).version()


def base_model_external(settings: Settings) -> dict[str, Version]:
    """The base model's content and how it encodes."""
    return {"base_model": lambda _: base_model_version(settings)}


def responses(home: Path) -> "ResponseStore":
    """Every LLM response ever received in this home."""
    from embed_pipeline.llm.responses import ResponseStore

    return ResponseStore(home / "cache" / "responses.sqlite")


def gold_external(settings: Settings) -> dict[str, Version]:
    """Content of the gold sets."""
    chosen = settings.eval
    found: dict[str, Version] = {}
    if chosen.gold is not None:
        folder = chosen.gold
        found["gold"] = lambda _: _gold_version(folder, "eval.gold")
    if chosen.gold_sets:
        named = dict(chosen.gold_sets)
        found["gold_sets"] = lambda _: _gold_sets_version(named)
    return found


def evaluated_external(settings: Settings) -> dict[str, Version]:
    """Content of the gold sets, and of the general questions where they are not the bundled ones."""
    general = settings.eval.general
    more: dict[str, Version] = {} if general is None else {"general": lambda _: _gold_version(general, "eval.general")}
    return gold_external(settings) | more


def _gold_version(folder: Path, setting: str) -> str:
    from embed_pipeline.evaluation.gold import gold_fingerprint

    return gold_fingerprint(folder.expanduser(), setting)


def _gold_sets_version(named: "dict[str, Path]") -> str:
    versions = [[name, _gold_version(folder, f"eval.gold_sets.{name}")] for name, folder in named.items()]
    return sha256_json(versions)  # a list: the first decides


def retrieval_sets(settings: Settings, benchmark: Artifact, passages: Artifact) -> "list[RetrievalSet]":
    """The gold sets, and the synthetic benchmark, when it has queries."""
    from embed_pipeline.evaluation.gold import load_gold, own_answers
    from embed_pipeline.formats.beir import read_retrieval_set

    gold = settings.eval.all_gold
    texts = passage_texts(passages) if gold else {}
    sets = [
        _as_read(load_gold(folder.expanduser(), texts, name), folder, settings, passages)
        for name, folder in gold.items()
    ]
    for line in (own_answers(one) for one in sets if not settings.eval.keep_identical_ids):
        if line is not None:
            say(f"warning: {line}")
    if benchmark.file("queries.jsonl").stat().st_size:
        synthetic = read_retrieval_set(benchmark.path, "test", "synthetic", kind="synthetic")
        sets.append(_with_titles(synthetic, passages))
    return sets


def evaluated_sets(settings: Settings, benchmark: Artifact, passages: Artifact) -> "list[RetrievalSet]":
    """Those that models are compared on: :func:`retrieval_sets`, and the general questions."""
    from embed_pipeline.evaluation.forgetting import general_set

    return [*retrieval_sets(settings, benchmark, passages), general_set(settings.eval.general)]


def development_set(settings: Settings, benchmark: Artifact, passages: Artifact) -> "RetrievalSet | None":
    """What chooses the weight of the fusion; None where it stays half.

    The validation part of the gold set that decides, if it holds enough questions; else the validation questions in
    other words.
    """
    from embed_pipeline.evaluation.fusion_weight import LEAST_QUESTIONS
    from embed_pipeline.evaluation.gold import has_development, load_development
    from embed_pipeline.formats.beir import CORPUS

    name, folder = next(iter(settings.eval.all_gold.items()), ("", None))
    texts = cache(lambda: passage_texts(passages))  # read once, and only where they are needed
    if folder is not None and has_development(folder.expanduser()):
        own = (folder.expanduser() / CORPUS).is_file()
        found = load_development(folder.expanduser(), {} if own else texts(), name)
        if len(found.queries) >= LEAST_QUESTIONS:
            return _as_read(found, folder, settings, passages)
        say(
            f"eval.{'gold' if name == 'gold' else f'gold_sets.{name}'}: its validation part has {len(found.queries)} "
            f"questions, fewer than the {LEAST_QUESTIONS} that may choose how the fusion weighs"
        )
    asked = reworded_validation(benchmark, texts)
    return None if asked is None else _with_titles(asked, passages)


def reworded_validation(
    benchmark: Artifact, texts: Callable[[], Mapping[str, str]] | None = None
) -> "RetrievalSet | None":
    """The validation questions in other words; None where there are none.

    Args:
        texts: gives passage id -> text as the encoder sees it; None: as the benchmark's own corpus.jsonl has them.
    """
    from embed_pipeline.formats.beir import read_corpus, read_retrieval_set

    folder = benchmark.path / VALIDATION
    if not folder.is_dir():
        return None
    passages = read_corpus(benchmark.path) if texts is None else texts()
    return read_retrieval_set(folder, VALIDATION, VALIDATION, passages, kind="validation")


def _as_read(found: "RetrievalSet", folder: Path, settings: Settings, passages: Artifact) -> "RetrievalSet":
    """A gold set with its titles; the long rows of a corpus of its own in pieces, where that is asked for."""
    from embed_pipeline.formats.beir import CORPUS

    if not settings.corpus.split_long_rows or not (folder.expanduser() / CORPUS).is_file():
        return _with_titles(found, passages)
    from embed_pipeline.corpus.passages import pieces_of
    from embed_pipeline.encoders.base_model import base_encoder_spec

    spec = base_encoder_spec(settings.base_model, settings.encoder)
    return _with_titles(replace(found, pieces=pieces_of(_rows(found), spec)), passages)


def _rows(found: "RetrievalSet") -> dict[str, tuple[str, str]]:
    """Passage id -> title and text."""
    titles = {name: found.titles.get(name, "") for name in found.passages}
    return {name: (titles[name], text.removeprefix(titles[name]).strip()) for name, text in found.passages.items()}


def tell_unseen(settings: Settings, sets: "list[RetrievalSet]") -> None:
    """Say of every gold set how much of a corpus of its own the base model does not see."""
    from embed_pipeline.corpus.chunking.tokens import token_counter
    from embed_pipeline.corpus.passages import way_out
    from embed_pipeline.corpus.unseen import count_unseen
    from embed_pipeline.encoders.base_model import base_encoder_spec
    from embed_pipeline.formats.beir import CORPUS

    spec, own = base_encoder_spec(settings.base_model, settings.encoder), settings.eval.all_gold
    for one in sets:
        if one.name in own and not one.pieces and (own[one.name].expanduser() / CORPUS).is_file():
            count, rows = token_counter(spec), list(_rows(one).values())
            tokens = count([text for _, text in rows])
            measured = [(title, text, number) for (title, text), number in zip(rows, tokens, strict=True)]
            line = count_unseen(measured, spec, count).line(f"passages of {one.name}", way_out("beir", settings.corpus))
            if line is not None:
                say(line)


def _with_titles(retrieval_set: "RetrievalSet", passages: Artifact) -> "RetrievalSet":
    """With the titles of the pipeline's passages, where it has none of its own."""
    if any(retrieval_set.titles.values()):
        return retrieval_set
    rows, texts = passages.frame().select("passage_id", "title").iter_rows(), retrieval_set.passages
    titles = {name: title for name, title in rows if title and texts.get(name, "").startswith(title)}
    return replace(retrieval_set, titles=titles)


def offline_questions(qa_pairs: "pl.DataFrame") -> set[str]:
    """Ids of the questions that the offline generator wrote, of the words of their passages."""
    return set(qa_pairs.filter(qa_pairs["generator"].str.starts_with("offline/"))["question_id"])


def passages_alone(passages: Artifact) -> "RetrievalSet":
    """The passages of the pipeline with their titles, as a set without questions."""
    from embed_pipeline.records import RetrievalSet

    return _with_titles(RetrievalSet("passages", passage_texts(passages), {}, {}), passages)


def told_of(
    documents: Artifact, passages: Artifact, frame: "pl.DataFrame | None" = None
) -> dict[str, dict[str, list[str]]]:
    """Passage id -> what the corpus tells of its document, name -> values; empty where it tells nothing.

    Args:
        frame: the table of the passages, where it has been read already.
    """
    from embed_pipeline.corpus.told import told_by_document

    if not (documents.path / f"{METADATA}.parquet").is_file():  # of an older release
        return {}
    of_document = told_by_document(documents.frame(METADATA))
    read = passages.frame() if frame is None else frame
    rows = read.select("passage_id", "doc_id").iter_rows()
    return {passage_id: of_document[doc_id] for passage_id, doc_id in rows if doc_id in of_document}


def passage_texts(passages: Artifact) -> dict[str, str]:
    """Passage id -> its text as the encoder sees it."""
    from embed_pipeline.records import passage_text

    rows = passages.frame().select("passage_id", "title", "text").iter_rows()
    return {passage_id: passage_text(title, text) for passage_id, title, text in rows}
