"""The way of a passage as plain calls, for notebooks and scripts: no home, no cache of artifacts, no Dagster.

::

    documents - read_documents - write_questions - mine - train - load_encoder - evaluate, encode

Every function takes and returns tables (polars), arrays and folders; what is decided by settings is decided by the
same :class:`~embed_pipeline.settings.Settings` as in ``pipeline.yaml``, read with :func:`load_settings`. The same
functions stand behind the assets of the pipeline, so that a notebook and a run agree.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from embed_pipeline.encoders.spec import PLURAL, SPEC_FILE, Encoder, EncoderSpec, Role, Vectors
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_json, temporary_folder
from embed_pipeline.records import RetrievalSet, TrainingRow, passage_text
from embed_pipeline.settings import CorpusSettings, Settings
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.inputs import offline_questions, responses, uses_llm
from embed_pipeline.tables import Metadata, QaCandidates, empty

if TYPE_CHECKING:
    from embed_pipeline.evaluation.evaluate import TunedEvaluation
    from embed_pipeline.finetune.train import TrainingReport


@dataclass(frozen=True)
class Corpus:
    """What was read of a corpus.

    Attributes:
        documents: :class:`embed_pipeline.tables.Documents`.
        passages: :class:`embed_pipeline.tables.Passages`, cut from the documents.
        skipped: path and reason of what gave no document.
        metadata: :class:`embed_pipeline.tables.Metadata`, what is told of the documents; join it by ``doc_id``.
    """

    documents: pl.DataFrame
    passages: pl.DataFrame
    skipped: pl.DataFrame
    metadata: pl.DataFrame = field(default_factory=lambda: empty(Metadata))

    def texts(self) -> dict[str, str]:
        """Passage id -> text as an encoder sees it."""
        rows = self.passages.select("passage_id", "title", "text").iter_rows()
        return {name: passage_text(title, text) for name, title, text in rows}


@dataclass(frozen=True)
class TrainingData:
    """What a training needs, split so that nothing leaks.

    Attributes:
        splits: :class:`embed_pipeline.tables.Splits`.
        negatives: :class:`embed_pipeline.tables.MinedNegatives`.
        rejected: :class:`embed_pipeline.tables.RejectedNegatives`, what was not taken and why.
        rows: one for each (question, positive) of the training split, with its hard negatives.
        validation: picks the checkpoint; None when no question was put there.
        test: the held-out questions.
    """

    splits: pl.DataFrame
    negatives: pl.DataFrame
    rejected: pl.DataFrame
    rows: list[TrainingRow]
    validation: RetrievalSet | None
    test: RetrievalSet


def load_encoder(model: str | Path, settings: Settings | None = None, cache: str | Path | None = None) -> Encoder:
    """An encoder of a base model or of a trained checkpoint.

    Args:
        model: a folder with ``encoder.json`` (what :func:`train` writes), else as ``base_model`` in the settings:
            a hub id, a local folder, or ``package:NAME``.
        settings: ``encoder`` is used; the defaults when not given.
        cache: keep vectors in this folder, so that each text is encoded once, ever.

    Raises:
        ModelAccessError: the model is missing, unreadable or not supported.
        ArtifactError: its ``encoder.json`` cannot be read.
    """
    from embed_pipeline.encoders.base_model import base_encoder_spec
    from embed_pipeline.encoders.cached_encoder import CachedEncoder
    from embed_pipeline.encoders.torch_encoder import TorchEncoder

    chosen = settings or load_settings()
    folder = Path(model).expanduser()
    trained = (folder / SPEC_FILE).is_file()
    spec = EncoderSpec.load(folder) if trained else base_encoder_spec(str(model), chosen.encoder)

    def load() -> Encoder:
        return TorchEncoder.load(spec, chosen.encoder.device, chosen.encoder.batch_size)

    return load() if cache is None else CachedEncoder(spec, load, Path(cache).expanduser())


@contextmanager
def _read_once(folder: str | Path, settings: Settings) -> Iterator[Path]:
    place = CorpusSettings(path=folder)
    if place.address is None:
        yield Path(folder).expanduser()
        return
    from embed_pipeline.corpus.addresses.glance import fetched_once

    with fetched_once(place.address, settings.corpus) as root:
        yield root


def read_documents(folder: str | Path, settings: Settings | None = None) -> Corpus:
    """Read a folder of documents (or what else can be a corpus) and cut it into passages.

    Args:
        folder: a path, or an address such as ``s3://bucket/folder``; what lies there is fetched, and not kept.
        settings: ``corpus``, ``base_model`` and ``encoder`` are used; the defaults when not given.

    Raises:
        InputError: the folder is missing, empty, or nothing in it can be read.
    """
    from embed_pipeline.corpus.documents import read_documents as read
    from embed_pipeline.corpus.manifest import scan_corpus
    from embed_pipeline.corpus.passages import cut_passages
    from embed_pipeline.encoders.base_model import base_encoder_spec

    chosen = settings or load_settings()
    if not str(folder):
        raise InputError("folder is empty: name the folder of documents.")
    with _read_once(folder, chosen) as root:
        parsed = read(root, scan_corpus(root, chosen.corpus), chosen.corpus)
    spec = base_encoder_spec(chosen.base_model, chosen.encoder)
    passages = cut_passages(parsed.documents, parsed.kind, parsed.chunks, spec, chosen.corpus)
    return Corpus(parsed.documents, passages, parsed.skipped, parsed.metadata)


def write_questions(
    corpus: Corpus, encoder: Encoder, settings: Settings | None = None, home: str | Path = ".embed_pipeline"
) -> pl.DataFrame:
    """Questions about the passages that passed every filter: :class:`embed_pipeline.tables.QaPairs`.

    A language model writes them when ``sdg.llm`` names one, else the offline generator; or they are read from
    ``sdg.import_from``; or both, with ``sdg.also_generate``.

    Args:
        encoder: of the base model, see :func:`load_encoder`.
        settings: ``sdg`` is used; the defaults when not given.
        home: every answer of a language model is stored here the moment it arrives, and never asked for twice.

    Raises:
        InputError: imported questions cannot be read.
        LLMAccessError, LLMUnavailableError, BudgetExceededError: see :func:`embed_pipeline.llm.ask.ask_all`.
    """
    from embed_pipeline.sdg.filters.select import select_pairs

    chosen = settings or load_settings()
    candidates = _candidates(corpus, encoder, chosen, Path(home).expanduser())
    return select_pairs(candidates, corpus.passages, encoder, chosen.sdg).pairs


def _candidates(corpus: Corpus, encoder: Encoder, settings: Settings, home: Path) -> pl.DataFrame:
    from embed_pipeline.sdg.candidates import joined

    brought = empty(QaCandidates)
    if settings.sdg.import_from is not None:
        from embed_pipeline.sdg.exchange.read import import_questions

        are_rows = bool((corpus.documents["path"] != corpus.documents["doc_id"]).all())
        cut = settings.corpus.split_long_rows and are_rows
        brought = import_questions(settings.sdg.import_from.expanduser(), corpus.passages, corpus.documents, cut)
    if not settings.sdg.generates:
        return brought
    if uses_llm(settings):
        from embed_pipeline.llm.engines import open_client
        from embed_pipeline.sdg.generation import generate

        scope = sha256_json([settings.key_part(["sdg"]), corpus.passages["passage_id"].to_list()])
        client, ledger = open_client(settings.sdg, responses(home), scope)
        asked = generate.Corpus(corpus.documents, corpus.passages, encoder)
        written = generate.write_questions(asked, settings.sdg, client, ledger, brought).candidates
    else:
        from embed_pipeline.sdg.offline.generate import generate_offline

        written = generate_offline(corpus.documents, corpus.passages, settings.sdg)
    return joined(brought, written)


def mine(corpus: Corpus, questions: pl.DataFrame, encoder: Encoder, settings: Settings | None = None) -> TrainingData:
    """Split the questions so that nothing leaks, and mine hard negatives for those of the training split.

    Args:
        questions: what :func:`write_questions` returned.
        encoder: whose ranking is mined; the base model's, or a tuned one for another round.
        settings: ``prep`` is used; the defaults when not given. ``prep.denoise`` must be none here.

    Raises:
        InputError: ``prep.denoise`` is set, or there are too few documents to split.
    """
    from embed_pipeline.encoders.torch_encoder import resolve_device
    from embed_pipeline.prep.benchmark import build_retrieval_set
    from embed_pipeline.prep.mining.negatives import mine_negatives
    from embed_pipeline.prep.splits.split import split_items
    from embed_pipeline.prep.training_set import unroll, weighted, worded

    chosen = settings or load_settings()
    if chosen.prep.denoise != "none":
        raise InputError("prep.denoise is for runs of the pipeline; set it to none, or use embed-pipeline prep.")
    passages, groups = corpus.passages, corpus.documents.select("doc_id", "group_id")
    splits = split_items(questions, passages, encoder, chosen.prep, groups)
    device = resolve_device(chosen.encoder.device)
    mined = mine_negatives(questions, passages, splits, encoder, chosen.prep, device=device)
    validation = build_retrieval_set(questions, passages, splits, "validation", "validation")
    asked = worded(questions, passages, offline_questions(questions), chosen.prep)
    rows = weighted(unroll(asked, mined.table, passages, splits), questions, chosen.prep.imported_weight)
    return TrainingData(
        splits,
        mined.table,
        mined.rejected,
        [TrainingRow(**row) for row in rows.to_dicts()],
        validation if validation.queries else None,
        build_retrieval_set(questions, passages, splits, "test", "synthetic"),
    )


def train(data: TrainingData, folder: str | Path, settings: Settings | None = None) -> "TrainingReport":
    """Fine-tune the base model; ``folder`` becomes a sentence-transformers folder with ``encoder.json``.

    Checkpoints of the training lie beside it (``<folder>.work``): called again after a kill, it goes on from there.

    Args:
        data: what :func:`mine` returned.
        folder: must not exist yet, or be empty.
        settings: ``base_model``, ``encoder`` and ``finetune`` are used; the defaults when not given.

    Raises:
        InputError: ``folder`` holds something already.
        TrainingError: no rows, a loss that is not a number, or a collapsed model.
    """
    from embed_pipeline.encoders.base_model import base_encoder_spec
    from embed_pipeline.finetune.train import finetune

    chosen = settings or load_settings()
    target = Path(folder).expanduser().resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target}: holds something already. Name a new folder for the model.")
    spec = base_encoder_spec(chosen.base_model, chosen.encoder)
    work = target.with_name(f"{target.name}.work")
    work.mkdir(parents=True, exist_ok=True)
    with temporary_folder(target.parent, target.name) as staged:
        device = chosen.encoder.device
        report = finetune(
            data.rows, data.validation, spec, chosen.finetune, staged, work, device, bm25=chosen.eval.bm25
        )
        if target.is_dir():
            target.rmdir()
        staged.rename(target)
    return report


def evaluate(
    base: Encoder, tuned: Encoder, *test_sets: RetrievalSet, settings: Settings | None = None
) -> "TunedEvaluation":
    """BEIR metrics of base, BM25, hybrid and tuned, with intervals, p-values and the verdict.

    Args:
        test_sets: ``TrainingData.test``, or BEIR folders read with
            :func:`embed_pipeline.evaluation.gold.load_gold`.
        settings: ``eval`` is used; the defaults when not given.

    Raises:
        InputError: there is no test set, or one without queries.
    """
    from embed_pipeline.evaluation.evaluate import evaluate_base, evaluate_tuned

    chosen = settings or load_settings()
    scores = evaluate_base(test_sets, base, chosen.eval)
    return evaluate_tuned(test_sets, tuned, scores, chosen.eval)


def encode(texts: Sequence[str], encoder: Encoder, role: Role = "passage") -> Vectors:
    """Vectors, float32 of shape [texts, dimensions], normalised if the spec says so.

    Args:
        texts: several; one text alone is put into a list.
        role: "query" or "passage"; it decides the prompt and the length.

    Raises:
        InputError: texts that are none, or another role.
    """
    if role not in PLURAL:
        raise InputError(f"role is {role!r}, but must be one of {', '.join(PLURAL)}.")
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise InputError("texts must be a list of texts (str); put a single one into a list.")
    return encoder.encode(texts, role)
