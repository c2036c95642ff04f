"""What a teacher thinks of the training passages: the scores that distillation aims at.

The teacher is a cross-encoder or a larger embedding model, told apart by its files. Scores are logits, in the units
of the student's ``cosine / temperature``: a cross-encoder's own, or an embedding model's cosines divided by
``finetune.temperature``. Each pair is scored once and kept in the training's work folder, so that a killed training
does not ask again.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.encoders.base_model import ModelFolder, base_encoder_spec, find_base_model
from embed_pipeline.encoders.cross_encoder import CrossEncoderModel, is_cross_encoder
from embed_pipeline.encoders.pair_scores import Pair, PairScores, Scorer
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import EncoderSettings, FinetuneSettings

SETTING = "finetune.teacher"


def teacher_version(settings: FinetuneSettings) -> str | None:
    """Content hash of the teacher; None where nothing is distilled.

    Raises:
        ModelAccessError: it cannot be found.
    """
    return None if settings.teacher is None else _teacher(settings).content_sha256


def teacher_scores(
    rows: Sequence[TrainingRow], settings: FinetuneSettings, work: Path, device: str
) -> list[list[float]] | None:
    """Per row the teacher's score of the positive and of each negative used; None where nothing is distilled.

    Raises:
        ModelAccessError: the teacher cannot be loaded.
    """
    if settings.teacher is None:
        return None
    teacher = _teacher(settings)
    lengths = f"{settings.max_query_length}/{settings.max_passage_length}"
    scores = PairScores(
        work / "teacher.sqlite", f"{teacher.content_sha256}/{lengths}", lambda: _scorer(settings, device)
    )
    passages = [[row.positive, *list(row.negatives)[: settings.hard_negatives]] for row in rows]
    pairs = [(row.question, text) for row, texts in zip(rows, passages, strict=True) for text in texts]
    scale = 1.0 if is_cross_encoder(teacher.path) else 1 / settings.temperature
    flat = iter((scores.of(pairs, "score with the teacher").astype(np.float64) * scale).tolist())
    return [[next(flat) for _ in texts] for texts in passages]


def _teacher(settings: FinetuneSettings) -> ModelFolder:
    return find_base_model(str(settings.teacher), setting=SETTING)


def _scorer(settings: FinetuneSettings, device: str) -> Scorer:
    """Logits of a cross-encoder, or cosines of an embedding model."""
    name = str(settings.teacher)
    if is_cross_encoder(_teacher(settings).path):
        longest = settings.max_query_length + settings.max_passage_length
        return CrossEncoderModel.load(name, device, longest, setting=SETTING).scores
    lengths = {"max_query_length": settings.max_query_length, "max_passage_length": settings.max_passage_length}
    encoder = TorchEncoder.load(base_encoder_spec(name, EncoderSettings(**lengths)), device)

    def cosines(pairs: Sequence[Pair]) -> NDArray[np.float32]:
        queries = encoder.encode([question for question, _ in pairs], "query")
        passages = encoder.encode([passage for _, passage in pairs], "passage")
        result: NDArray[np.float32] = np.einsum("nd,nd->n", queries, passages)
        return result

    return cosines
