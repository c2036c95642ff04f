"""Trying a home: what its model, its base, BM25 and the hybrid find for a query."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embed_pipeline.errors import ArtifactError, InputError
from embed_pipeline.evaluation.judged import readable_query, what_became
from embed_pipeline.evaluation.query_log import by_disagreement, read_query_log
from embed_pipeline.progress import say
from embed_pipeline.settings import Settings
from embed_pipeline.stages.inputs import told_of
from embed_pipeline.store.artifacts import Artifact, Store

if TYPE_CHECKING:
    from embed_pipeline.encoders.spec import Encoder, EncoderSpec, Vectors
    from embed_pipeline.evaluation.side_by_side import DenseSide, Passages, SideBySide

OFFERED = 200
"""Queries of a log that are offered, at most."""
NO_MODEL = "No model has been trained in this home yet: base, BM25 and their hybrid are searched."


class HomeSearch:
    """The passages and models in use of a home, opened at the first search and again when others are in use.

    The vectors of the passages come from the home's cache, where measuring has put them; what is missing is encoded.
    """

    def __init__(self, home: Path, settings: Settings) -> None:
        self._store, self._settings = Store(home), settings
        self._opened: tuple[tuple[str, str], SideBySide] | None = None
        self._told: tuple[tuple[str, str], dict[str, dict[str, list[str]]]] | None = None
        self._rated: tuple[object, list[dict[str, Any]]] | None = None

    def search(self, query: str, k: int) -> dict[str, Any]:
        """The ``k`` best of each system: :meth:`embed_pipeline.evaluation.side_by_side.SideBySide.search`, and notes.

        Every passage has besides what the corpus tells of its document: ``"told": {"url": ["…"], "tags": ["…", …]}``.

        Raises:
            InputError: the query is empty or too long, or the home has no passages.
            ModelAccessError, ArtifactError: a model cannot be loaded.
        """
        asked = readable_query(query)
        found, told = self._side_by_side().search(asked, k), self._told_of_passages()
        for passage_id, passage in found["passages"].items():
            passage["told"] = told.get(passage_id, {})
        return {**found, "notes": [] if self._checkpoint() is not None else [NO_MODEL]}

    def what_became(self, judged: Sequence[Sequence[str]]) -> list[dict[str, str]]:
        """Of judged passages, each (id, hash of its text): ``{"state", "passage_id", "title", "text"}`` as of now."""
        passages = _read(self._passages())
        now = {passage: passages.hash_of(place) for passage, place in passages.places.items()}
        places = {digest: passage for passage, digest in now.items()}
        found = []
        for passage_id, digest in judged:
            state, today = what_became(passage_id, digest, now, places)
            place = passages.places.get(today)
            title, text = ("", "") if place is None else (passages.titles[place], passages.texts[place])
            found.append({"state": state, "passage_id": today, "title": title, "text": text})
        return found

    def suggestions(self) -> dict[str, Any]:
        """Queries of ``eval.query_log`` on which the systems differ most.

        Returns:
            ``{"log": whether there is one, "distinct", "looked_at", "queries": [{"query", "disagreement"}]}``.

        Raises:
            InputError: the log cannot be read; and see :meth:`search`.
        """
        path = self._settings.eval.query_log
        if path is None:
            return {"log": False, "distinct": 0, "looked_at": 0, "queries": []}
        log = read_query_log(path.expanduser())
        sides, known = self._side_by_side(), (tuple(log.queries), self._versions())
        if self._rated is None or self._rated[0] != known:
            texts = {str(number): query for number, query in enumerate(log.queries)}
            runs = {name: run for name, run in sides.runs(texts).items() if name != sides.hybrid}
            rated = by_disagreement(runs)[:OFFERED]
            rows = [{"query": texts[query], "disagreement": round(value, 4)} for query, value in rated]
            self._rated = (known, rows)
        return {"log": True, "distinct": log.distinct, "looked_at": len(log.queries), "queries": self._rated[1]}

    def _versions(self) -> tuple[str, str]:
        checkpoint = self._checkpoint()
        return self._passages().version, "" if checkpoint is None else checkpoint.version

    def _passages(self) -> Artifact:
        found = self._store.current("passages")
        if found is None:
            raise InputError(
                f"{self._store.home}: holds no passages yet, so there is nothing to search; "
                "embed-pipeline run makes them."
            )
        return found

    def _told_of_passages(self) -> dict[str, dict[str, list[str]]]:
        """What the corpus tells today: a tag that has changed changes no passage."""
        documents, passages = self._store.current("documents"), self._passages()
        if documents is None:
            return {}
        versions = documents.version, passages.version
        if self._told is None or self._told[0] != versions:
            self._told = versions, told_of(documents, passages)
        return self._told[1]

    def _checkpoint(self) -> Artifact | None:
        return self._store.current("checkpoint")

    def _side_by_side(self) -> "SideBySide":
        versions = self._versions()
        if self._opened is None or self._opened[0] != versions:
            self._opened = None  # the old ones go before the new ones come: two do not lie in memory
            self._opened = (versions, self._open())
        return self._opened[1]

    def _open(self) -> "SideBySide":
        from embed_pipeline.encoders.base_model import base_encoder_spec
        from embed_pipeline.encoders.spec import EncoderSpec
        from embed_pipeline.evaluation.side_by_side import SideBySide

        passages, checkpoint = _read(self._passages()), self._checkpoint()
        spec = base_encoder_spec(self._settings.base_model, self._settings.encoder)
        dense = {"base": self._dense(spec, self._settings.base_model, passages)}
        if checkpoint is not None:
            about = f"checkpoint {checkpoint.version[:12]}"
            dense["tuned"] = self._dense(EncoderSpec.load(checkpoint.path), about, passages)
        return SideBySide(passages, dense, self._settings.eval, self._weight(checkpoint))

    def _dense(self, spec: "EncoderSpec", about: str, passages: "Passages") -> "DenseSide":
        from embed_pipeline.encoders.cached_encoder import CachedEncoder
        from embed_pipeline.encoders.spec import Encoder
        from embed_pipeline.encoders.torch_encoder import TorchEncoder
        from embed_pipeline.evaluation.side_by_side import DenseSide

        @cache
        def load() -> Encoder:
            say(f"load the model: {about}")
            return TorchEncoder.load(spec, self._settings.encoder.device, self._settings.encoder.batch_size)

        cached = CachedEncoder(spec, load, self._store.home / "cache" / "embeddings")
        return DenseSide(about, cached.encode(passages.encoded, "passage"), _queries(cached, load))

    def _weight(self, checkpoint: Artifact | None) -> float:
        """Of the dense side in the convex combination, as it was measured with this checkpoint; else a half."""
        from embed_pipeline.retrieval.fusion import EQUAL_WEIGHT

        metrics = self._store.current("metrics")
        if checkpoint is None or metrics is None:
            return EQUAL_WEIGHT
        try:
            if self._store.last_made(metrics).inputs.get("checkpoint") != checkpoint.version:
                return EQUAL_WEIGHT
            return float(metrics.json("summary")["fusion"]["tuned"]["weight"])
        except (ArtifactError, OSError, ValueError, KeyError, TypeError):
            return EQUAL_WEIGHT  # measured by a release that fused by ranks only


def _read(artifact: Artifact) -> "Passages":
    from embed_pipeline.evaluation.side_by_side import Passages

    frame = artifact.frame().select("passage_id", "title", "text")
    return Passages(*(frame[name].to_list() for name in ("passage_id", "title", "text")))


def _queries(cached: "Encoder", load: "Callable[[], Encoder]") -> "Callable[[Sequence[str]], Vectors]":
    """Encodes queries. Those of a log are kept like passages; what somebody typed leaves nothing behind."""

    def encode(queries: Sequence[str]) -> "Vectors":
        return (cached if len(queries) > 1 else load()).encode(queries, "query")

    return encode


Request = Mapping[str, Any]


def answer(search: HomeSearch, request: Request) -> dict[str, Any]:
    """One request as plain values: ``{"do": "search" | "what_became" | "suggestions", …}``.

    Raises:
        EmbedPipelineError: see the methods of :class:`HomeSearch`.
    """
    if request["do"] == "search":
        return search.search(request["query"], request["k"])
    if request["do"] == "what_became":
        return {"passages": search.what_became(request["judged"])}
    return search.suggestions()
