"""What a teacher thinks of the training passages: the scores that distillation aims at.

============================  ====================================================  ===================
``finetune.teacher``          a pair scores, in the units of cosine / temperature   passages scored
============================  ====================================================  ===================
cross-encoder                 its own logit                                         a question's own
embedding model               cosine / ``finetune.temperature``                     all of the batch
``https://host/v1#model``     the same, of the vectors that the endpoint gives      all of the batch
``hybrid``                    base model and BM25 fused / ``finetune.temperature``  all of the batch
============================  ====================================================  ===================

A cross-encoder reads each pair, so it is asked about a question's own positive and negatives alone. The others read
each text once. The objectives ``kl`` and ``margin_mse`` look at own passages whatever the teacher knows. What a model
computed lies in the training's work folder, so that a killed training does not ask again.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.encoders.base_model import ModelFolder, base_encoder_spec, find_base_model
from embed_pipeline.encoders.cached_encoder import CachedEncoder
from embed_pipeline.encoders.cross_encoder import CrossEncoderModel, check_outputs, is_cross_encoder
from embed_pipeline.encoders.pair_scores import Pair, PairScores, Scorer
from embed_pipeline.encoders.spec import Encoder, EncoderSpec, Vectors
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.errors import SettingsError
from embed_pipeline.files import sha256_json
from embed_pipeline.finetune.lexical import LexicalScores
from embed_pipeline.records import TrainingRow
from embed_pipeline.retrieval.fusion import EQUAL_WEIGHT
from embed_pipeline.retrieval.search import top_k
from embed_pipeline.settings import Bm25Settings, EncoderSettings, FinetuneSettings
from embed_pipeline.settings.addresses import is_address
from embed_pipeline.settings.finetune import HYBRID

SETTING = "finetune.teacher"
DEPTH = 100
"""Passages that a question finds before rankings are fused, as in the evaluation."""

Scores = NDArray[np.float32]


class Teacher(ABC):
    """Scores of the passages of a batch, for some rows."""

    @abstractmethod
    def scores(
        self, rows: Sequence[int], passages: Sequence[str], own: Sequence[Sequence[int]]
    ) -> tuple[Scores, NDArray[np.bool_]]:
        """[rows, passages]: scores in the units of ``cosine / temperature``, and where there are any.

        Args:
            rows: numbers of training rows.
            passages: texts of the batch, all of them of training rows.
            own: per row the places of its positive and of its negatives in ``passages``.
        """


class PairTeacher(Teacher):
    """Knows a row's own passages.

    Args:
        known: per row the scores of its positive and of each negative used.
    """

    def __init__(self, known: Sequence[Sequence[float]]) -> None:
        self._known = known

    def scores(
        self, rows: Sequence[int], passages: Sequence[str], own: Sequence[Sequence[int]]
    ) -> tuple[Scores, NDArray[np.bool_]]:
        found = np.zeros((len(rows), len(passages)), np.float32)
        there = np.zeros(found.shape, bool)
        for place, (row, mine) in enumerate(zip(rows, own, strict=True)):
            found[place, mine] = self._known[row]
            there[place, mine] = True
        return found, there


class VectorTeacher(Teacher):
    """Knows every pair by the inner product of two vectors.

    Args:
        questions: [rows, d].
        passages: text -> place in ``vectors`` [passages, d].
    """

    def __init__(self, questions: Vectors, passages: Sequence[str], vectors: Vectors, temperature: float) -> None:
        self._questions, self._vectors, self._temperature = questions, vectors, temperature
        self._places = {text: place for place, text in enumerate(passages)}

    def scores(
        self, rows: Sequence[int], passages: Sequence[str], own: Sequence[Sequence[int]]
    ) -> tuple[Scores, NDArray[np.bool_]]:
        found = self.cosines(rows, passages) / self._temperature
        return found.astype(np.float32), np.ones(found.shape, bool)

    def cosines(self, rows: Sequence[int], passages: Sequence[str]) -> Scores:
        """[rows, passages]."""
        cosines: Scores = self._questions[list(rows)] @ self._vectors[[self._places[text] for text in passages]].T
        return cosines


class HybridTeacher(VectorTeacher):
    """The convex hybrid of a dense ranking and BM25 at equal weights, as :func:`convex` of the evaluation fuses them.

    Each side has its scale from the question's ranking of all training passages, so that a score does not depend on
    the batch: BM25 is divided by the best one; of the cosines the best is 1 and the last of the 100 best 0. What lies
    below those is not cut off at 0, as a ranking would, since a divergence needs the order of the rest as well.
    """

    def __init__(
        self,
        rows: Sequence[TrainingRow],
        lexical: LexicalScores,
        questions: Vectors,
        passages: Sequence[str],
        vectors: Vectors,
        temperature: float,
    ) -> None:
        super().__init__(questions, passages, vectors, temperature)
        self._texts, self._lexical = [row.question for row in rows], lexical
        best, _ = top_k(questions, vectors, DEPTH)
        self._low, self._range = best[:, -1:], best[:, :1] - best[:, -1:]

    def scores(
        self, rows: Sequence[int], passages: Sequence[str], own: Sequence[Sequence[int]]
    ) -> tuple[Scores, NDArray[np.bool_]]:
        chosen = list(rows)
        low, spread = self._low[chosen], self._range[chosen]
        above = self.cosines(chosen, passages) - low
        dense = np.divide(above, spread, out=np.ones_like(above), where=spread > 0)
        sparse = self._lexical.of([self._texts[row] for row in chosen], passages)
        fused = (EQUAL_WEIGHT * dense + (1 - EQUAL_WEIGHT) * sparse) / self._temperature
        return fused.astype(np.float32), np.ones(fused.shape, bool)


def teacher_version(settings: FinetuneSettings) -> str | None:
    """Content hash of the teacher, or hash of an endpoint's address; None where nothing is distilled.

    Raises:
        ModelAccessError: it cannot be found, or is a cross-encoder with more than one output.
        SettingsError: a cross-encoder beside a contrastive objective, without negatives that it could tell apart.
    """
    name = settings.teacher
    if name is None or name == HYBRID:
        return name  # a hybrid is made of the base model and the passages, which count anyway
    if is_address(name):
        return sha256_json(["embeddings", name])
    found = _model(settings)
    if is_cross_encoder(found.path):
        check_outputs(found.path, f"{SETTING} {name}")
    if settings.distillation_weight and settings.hard_negatives == 0 and is_cross_encoder(found.path):
        raise SettingsError(
            f"{SETTING} {name} is a cross-encoder, which is asked about a question's own negatives alone, and "
            "finetune.hard_negatives is 0. Set that to 1 or more, or name an embedding model."
        )
    return found.content_sha256


def load_teacher(
    rows: Sequence[TrainingRow],
    spec: EncoderSpec,
    settings: FinetuneSettings,
    work: Path,
    device: str,
    cache: Path | None = None,
    bm25: Bm25Settings | None = None,
) -> Teacher | None:
    """The teacher with everything scored or encoded; None where nothing is distilled.

    Args:
        spec: of the base model.
        work: what models compute is kept here.
        cache: what an endpoint answers is kept here; in ``work`` when not given.
        bm25: how words are compared; the defaults when not given.

    Raises:
        ModelAccessError: a model cannot be loaded.
        InputError: an endpoint cannot be reached, or answers with something else than vectors.
    """
    name = settings.teacher
    if name is None:
        return None
    if name != HYBRID and not is_address(name) and (not settings.distillation_weight or _reads_pairs(settings)):
        return PairTeacher(_pair_scores(rows, settings, work, device))
    if is_address(name):
        from embed_pipeline.finetune.teacher_endpoint import EndpointTeacher  # brings an HTTP client

        encoder: Encoder = EndpointTeacher(name, settings.teacher_key_env, cache or work / "cache", work)
    else:
        chosen = _shortened(spec, settings) if name == HYBRID else _model_spec(settings)
        size = 128 if device.startswith("cuda") else 32
        encoder = CachedEncoder(chosen, lambda: TorchEncoder.load(chosen, device, size), work / "teacher")
    passages = list(dict.fromkeys(text for row in rows for text in _passages_of(row, settings)))
    vectors = encoder.encode(passages, "passage")
    questions = encoder.encode([row.question for row in rows], "query")
    if name == HYBRID:
        lexical = LexicalScores(rows, settings.hard_negatives, bm25)
        return HybridTeacher(rows, lexical, questions, passages, vectors, settings.temperature)
    return VectorTeacher(questions, passages, vectors, settings.temperature)


def _pair_scores(rows: Sequence[TrainingRow], settings: FinetuneSettings, work: Path, device: str) -> list[list[float]]:
    """Per row the teacher's score of the positive and of each negative used."""
    teacher = _model(settings)
    lengths = f"{settings.max_query_length}/{settings.max_passage_length}"
    scores = PairScores(
        work / "teacher.sqlite", f"{teacher.content_sha256}/{lengths}", lambda: _scorer(settings, device)
    )
    passages = [_passages_of(row, settings) for row in rows]
    pairs = [(row.question, text) for row, texts in zip(rows, passages, strict=True) for text in texts]
    scale = 1.0 if is_cross_encoder(teacher.path) else 1 / settings.temperature
    flat = iter((scores.of(pairs, "score with the teacher").astype(np.float64) * scale).tolist())
    return [[next(flat) for _ in texts] for texts in passages]


def _passages_of(row: TrainingRow, settings: FinetuneSettings) -> list[str]:
    return [row.positive, *list(row.negatives)[: settings.hard_negatives]]


def _model(settings: FinetuneSettings) -> ModelFolder:
    return find_base_model(str(settings.teacher), setting=SETTING)


def _reads_pairs(settings: FinetuneSettings) -> bool:
    return is_cross_encoder(_model(settings).path)


def _model_spec(settings: FinetuneSettings) -> EncoderSpec:
    lengths = {"max_query_length": settings.max_query_length, "max_passage_length": settings.max_passage_length}
    return base_encoder_spec(str(settings.teacher), EncoderSettings(**lengths))


def _shortened(spec: EncoderSpec, settings: FinetuneSettings) -> EncoderSpec:
    """The base model that reads what is trained on, and not more."""
    lengths = {
        "max_query_length": min(spec.max_query_length, settings.max_query_length),
        "max_passage_length": min(spec.max_passage_length, settings.max_passage_length),
    }
    return spec.model_copy(update=lengths)


def _scorer(settings: FinetuneSettings, device: str) -> Scorer:
    """Logits of a cross-encoder, or cosines of an embedding model."""
    if _reads_pairs(settings):
        longest = settings.max_query_length + settings.max_passage_length
        return CrossEncoderModel.load(str(settings.teacher), device, longest, setting=SETTING).scores
    encoder = TorchEncoder.load(_model_spec(settings), device)

    def cosines(pairs: Sequence[Pair]) -> NDArray[np.float32]:
        queries = encoder.encode([question for question, _ in pairs], "query")
        passages = encoder.encode([passage for _, passage in pairs], "passage")
        result: NDArray[np.float32] = np.einsum("nd,nd->n", queries, passages)
        return result

    return cosines
