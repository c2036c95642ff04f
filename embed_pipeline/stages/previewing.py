"""Looking at a corpus before a run: needs no home, no model but its tokenizer, and leaves nothing behind."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embed_pipeline.errors import InputError
from embed_pipeline.settings import Settings
from embed_pipeline.stages.corpus import corpus_folder

if TYPE_CHECKING:
    from embed_pipeline.corpus.preview import Choice

MOST_NAMES = 100
_LARGEST_SEED = 2**63


def preview(settings: Settings, choice: "Choice", home: Path | None = None) -> dict[str, Any]:
    """What a run with these settings would make of some documents of its corpus, see
    :func:`embed_pipeline.corpus.preview.preview_corpus`; and ``"settings"``, those that decide about passages.

    Args:
        home: whose copy of an address is used where it is current.

    Raises:
        SettingsError: no corpus is set.
        InputError: see there.
        ModelAccessError: the base model's files cannot be found.
    """
    from embed_pipeline.corpus.preview import preview_corpus
    from embed_pipeline.encoders.base_model import base_encoder_spec

    folder = corpus_folder(settings)
    spec = base_encoder_spec(settings.base_model, settings.encoder)
    corpus = settings.corpus
    chunking = f"corpus.passage_tokens={corpus.passage_tokens}"
    if corpus.chunking == "sentences":
        chunking = f"corpus.sentences_per_passage={corpus.sentences_per_passage}"
    seen = f"encoder.max_passage_length={spec.max_length('passage')}"
    if isinstance(folder, Path):
        return {**preview_corpus(folder, corpus, spec, choice), "settings": [chunking, seen]}
    from embed_pipeline.corpus.addresses.glance import glance_at

    with glance_at(folder, home, corpus) as (root, glance):
        found = preview_corpus(root, corpus, spec, choice, glance)
    return {**found, "corpus": folder, "settings": [chunking, seen]}


def answer(settings: Settings, request: Mapping[str, Any], home: Path | None = None) -> dict[str, Any]:
    """One request of the page: ``{"names": [...], "count": n, "seed": n}``; each may be missing.

    Raises:
        InputError: it is none; and see :func:`preview`.
    """
    from embed_pipeline.corpus.preview import DOCUMENTS, MOST_DOCUMENTS, Choice, Most, shortened

    names = request.get("names", [])
    if not isinstance(names, list) or len(names) > MOST_NAMES or not all(isinstance(name, str) for name in names):
        raise InputError(f"names is a list of at most {MOST_NAMES} texts.")
    count, seed = _number(request, "count", DOCUMENTS), _number(request, "seed", 0)
    if not 1 <= count <= MOST_DOCUMENTS:
        raise InputError(f"count is from 1 to {MOST_DOCUMENTS}.")
    wanted = tuple(name for name in (one.strip() for one in names) if name)
    return shortened(preview(settings, Choice(wanted, count, seed), home), Most())


def _number(request: Mapping[str, Any], name: str, default: int) -> int:
    value = request.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST_SEED:
        raise InputError(f"{name} is a whole number.")
    return value
