"""Questions without a language model: recipes over the corpus' own sentences and word statistics.

::

    passages ─ one per near-duplicate group ─ even share for each ─┬─ recipes, drawn by MIX ─┬─ candidates
                                                                   └─ linked passages ───────┘

Deterministic: every passage has its own random source, seeded by ``sdg.seed`` and the passage id.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from embed_pipeline.progress import track
from embed_pipeline.sdg.candidates import Candidate, candidates_frame
from embed_pipeline.sdg.offline_pairs import linked_passages, two_passages
from embed_pipeline.sdg.offline_recipes import RECIPES, View
from embed_pipeline.sdg.offline_text import TermStatistics, units
from embed_pipeline.settings import SdgSettings

TWO_PASSAGES = "two_passages"
MIX: Mapping[str, float] = {
    "inverse_cloze": 0.40,
    "dropped_words": 0.20,
    "keywords": 0.15,
    "question": 0.10,
    "heading": 0.05,
    "definition": 0.03,
    TWO_PASSAGES: 0.07,
}
OVERSAMPLING = 1.5


def generate_offline(documents: pl.DataFrame, passages: pl.DataFrame, settings: SdgSettings) -> pl.DataFrame:
    """Write questions about the passages.

    At most ``questions_per_passage`` for each passage, and 1.5 times ``max_questions`` in all (the filters
    drop some); a larger corpus is asked about evenly. Of a near-duplicate group one passage is asked about.

    Args:
        documents: :class:`embed_pipeline.tables.Documents`; their titles stand in for missing headings.
        passages: :class:`embed_pipeline.tables.Passages`.

    Returns:
        :class:`embed_pipeline.tables.QaCandidates`, generator ``offline/<recipe>``; empty for an empty corpus.
    """
    doc_of = dict(passages.select("passage_id", "doc_id").iter_rows())
    views = _views(documents, passages, settings)
    wanted = min(
        math.floor(settings.questions_per_passage * len(views)), math.ceil(OVERSAMPLING * settings.max_questions)
    )
    partners = linked_passages(views, doc_of) if views else {}
    by_id = {view.passage_id: view for view in views}
    asked: set[str] = set()
    candidates: list[Candidate] = []
    for view, count in zip(track(views, "write questions"), shares(len(views), wanted), strict=True):
        rng = _source(settings.seed, view.passage_id)
        linked = [by_id[passage_id] for passage_id in partners.get(view.passage_id, ())]
        for candidate in _questions(view, linked, count, rng, settings):
            if candidate.question.casefold() not in asked:
                asked.add(candidate.question.casefold())
                candidates.append(candidate)
    return candidates_frame(candidates, doc_of)


def shares(passages: int, wanted: int) -> list[int]:
    """How many questions each passage gets: ``wanted`` in all, spread as evenly as whole numbers allow."""
    return [(index + 1) * wanted // passages - index * wanted // passages for index in range(passages)]


def _source(seed: int, passage_id: str) -> random.Random:
    return random.Random(f"{seed}/{passage_id}")  # noqa: S311 - reproducible, not secret


def _views(documents: pl.DataFrame, passages: pl.DataFrame, settings: SdgSettings) -> list[View]:
    ordered = passages.sort("doc_id", "position", "passage_id")
    chosen = ordered.unique("group_id", keep="first", maintain_order=True)
    titles = dict(documents.select("doc_id", "title").iter_rows())
    statistics = TermStatistics(chosen["text"])
    views = []
    for row in chosen.iter_rows(named=True):
        heading = row["title"] or titles.get(row["doc_id"], "")
        found = units(row["text"], row["language"], settings.max_question_chars)
        sentences = [unit for unit in found if unit not in heading]
        _source(settings.seed, row["passage_id"]).shuffle(sentences)
        views.append(
            View(
                passage_id=row["passage_id"],
                heading=heading,
                text=row["text"],
                language=row["language"],
                units=tuple(sentences),
                statistics=statistics,
            )
        )
    return views


def _questions(
    view: View, linked: Sequence[View], count: int, rng: random.Random, settings: SdgSettings
) -> Iterator[Candidate]:
    names = list(MIX)
    for turn, name in enumerate(rng.choices(names, list(MIX.values()), k=count)):
        others = [other for other in names if other != name]
        for recipe in [name, *rng.sample(others, len(others))]:
            candidate = _ask(recipe, view, linked, rng, turn)
            if candidate and settings.min_question_chars <= len(candidate.question) <= settings.max_question_chars:
                yield candidate
                break


def _ask(recipe: str, view: View, linked: Sequence[View], rng: random.Random, turn: int) -> Candidate | None:
    if recipe == TWO_PASSAGES:
        return two_passages(view, rng.choice(linked), rng) if linked else None
    return RECIPES[recipe](view, rng, turn)
