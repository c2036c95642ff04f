"""What a teacher thinks of the training passages: the scores that distillation aims at.

The teacher is a cross-encoder or a larger embedding model, told apart by its files. Scores are logits, in the units
of the student's ``cosine / temperature``: a cross-encoder's own, or an embedding model's cosines divided by
``finetune.temperature``. Each pair is scored once and kept in the training's work folder, so that a killed training
does not ask again.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.content_cache import ContentCache
from embed_pipeline.cross_encoder import CrossEncoderModel, is_cross_encoder
from embed_pipeline.encoder import TorchEncoder, base_encoder_spec
from embed_pipeline.files import sha256_text
from embed_pipeline.models import find_base_model
from embed_pipeline.progress import task
from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import EncoderSettings, FinetuneSettings

Pairs = list[tuple[str, str]]
DISTILLED = ("margin_mse", "kl")
BLOCK = 512
"""Pairs scored before their scores are written."""


def teacher_version(settings: FinetuneSettings) -> str | None:
    """Content hash of the teacher; None where nothing is distilled.

    Raises:
        ModelAccessError: it cannot be found.
    """
    if settings.objective not in DISTILLED or settings.teacher is None:
        return None
    return find_base_model(settings.teacher).content_sha256


def teacher_scores(
    rows: Sequence[TrainingRow], settings: FinetuneSettings, work: Path, device: str
) -> list[list[float]] | None:
    """Per row the teacher's score of the positive and of each negative used; None where nothing is distilled.

    Raises:
        ModelAccessError: the teacher cannot be loaded.
    """
    version = teacher_version(settings)
    if version is None or settings.teacher is None:
        return None
    passages = [[row.positive, *list(row.negatives)[: settings.hard_negatives]] for row in rows]
    wanted = {
        sha256_text("\n".join((version, str(settings.max_passage_length), row.question, text))): (row.question, text)
        for row, texts in zip(rows, passages, strict=True)
        for text in texts
    }
    cache = ContentCache(work / "teacher.sqlite")
    known = cache.get_many(wanted)
    missing = [key for key in wanted if key not in known]
    if missing:
        score = _scorer(settings, device)
        with task("score with the teacher", len(missing)) as running:
            for start in range(0, len(missing), BLOCK):
                part = missing[start : start + BLOCK]
                found = score([wanted[key] for key in part]).astype(np.float32)
                cache.put_many({key: value.tobytes() for key, value in zip(part, found, strict=True)})
                running.advance(len(part))
        known = cache.get_many(wanted)
    of_pair = {wanted[key]: float(np.frombuffer(value, np.float32)[0]) for key, value in known.items()}
    scale = 1.0 if is_cross_encoder(find_base_model(settings.teacher).path) else 1 / settings.temperature
    return [[of_pair[row.question, text] * scale for text in texts] for row, texts in zip(rows, passages, strict=True)]


def _scorer(settings: FinetuneSettings, device: str) -> Callable[[Pairs], NDArray[np.float32]]:
    """Logits of a cross-encoder, or cosines of an embedding model."""
    name = str(settings.teacher)
    if is_cross_encoder(find_base_model(name).path):
        longest = settings.max_query_length + settings.max_passage_length
        return CrossEncoderModel.load(name, device, longest).scores
    lengths = {"max_query_length": settings.max_query_length, "max_passage_length": settings.max_passage_length}
    encoder = TorchEncoder.load(base_encoder_spec(name, EncoderSettings(**lengths)), device)

    def cosines(pairs: Pairs) -> NDArray[np.float32]:
        queries = encoder.encode([question for question, _ in pairs], "query")
        passages = encoder.encode([passage for _, passage in pairs], "passage")
        result: NDArray[np.float32] = np.einsum("nd,nd->n", queries, passages)
        return result

    return cosines
