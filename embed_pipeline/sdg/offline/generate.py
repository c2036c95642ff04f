"""Questions without a language model: recipes over the corpus' own sentences and word statistics.

::

    passages ─ one per near-duplicate group ─ even share for each ─┬─ recipes, drawn by MIX ─┬─ candidates
                                                                   └─ linked passages ───────┘

Deterministic: every passage has its own random source, seeded by ``sdg.seed`` and the passage id.
"""

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from embed_pipeline.progress import track
from embed_pipeline.records import heading_of
from embed_pipeline.sdg.candidates import Candidate, candidates_frame
from embed_pipeline.sdg.offline.kept_words import Sentence, passages_read, term_statistics
from embed_pipeline.sdg.offline.pairs import linked_passages, two_passages
from embed_pipeline.sdg.offline.recipes import RECIPES, View
from embed_pipeline.settings import SdgSettings
from embed_pipeline.store.kept import Kept
from embed_pipeline.text.forms import same_text_key
from embed_pipeline.text.words import TermStatistics

TWO_PASSAGES = "two_passages"
# all-MiniLM-L6-v2 on manuals with human questions, nDCG@10, 1,000 to 3,000 pairs: mixes like this one +16 to +17 %,
# without inverse cloze +14 %, inverse cloze alone +9 %.
MIX: Mapping[str, float] = {
    "inverse_cloze": 0.34,
    "question": 0.32,
    "dropped_words": 0.10,
    "keywords": 0.10,
    "heading": 0.05,
    TWO_PASSAGES: 0.05,
    "definition": 0.04,
}
OVERSAMPLING = 1.5
MIN_CONTENT_WORDS = 2


def generate_offline(
    documents: pl.DataFrame, passages: pl.DataFrame, settings: SdgSettings, kept: Kept | None = None
) -> pl.DataFrame:
    """Write questions about the passages.

    At most ``questions_per_passage`` for each passage, and 1.5 times ``max_questions`` in all (the filters
    drop some); a larger corpus is asked about evenly. Of a near-duplicate group one passage is asked about.

    Args:
        documents: :class:`embed_pipeline.tables.Documents`; their titles stand in for missing headings.
        passages: :class:`embed_pipeline.tables.Passages`.
        kept: where the words and sentences of passages are kept, so that only those of new ones are looked for; the
            result is the same without.

    Returns:
        :class:`embed_pipeline.tables.QaCandidates`, generator ``offline/<recipe>``; empty for an empty corpus.
    """
    doc_of = dict(passages.select("passage_id", "doc_id").iter_rows())
    chosen = passages.sort("doc_id", "position", "passage_id").unique("group_id", keep="first", maintain_order=True)
    wanted = min(
        math.floor(settings.questions_per_passage * chosen.height), math.ceil(OVERSAMPLING * settings.max_questions)
    )
    counts = pl.Series("count", shares(chosen.height, wanted), dtype=pl.Int64)
    chosen_rows = chosen.with_columns(counts).filter(pl.col("count") > 0)
    views = _views(documents, chosen_rows, term_statistics(chosen["text"], kept), settings, kept)
    by_id = {view.passage_id: view for view in views}
    partners = linked_passages(views, doc_of)
    asked: dict[str, Candidate] = {}
    for view, count in zip(track(views, "write questions"), chosen_rows["count"], strict=True):
        rng = _source(settings.seed, view.passage_id)
        linked = [by_id[passage_id] for passage_id in partners.get(view.passage_id, ())]
        for turn in range(count):
            for candidate in _attempts(view, linked, rng, turn):
                question = candidate.question
                fits = settings.min_question_chars <= len(question) <= settings.max_question_chars
                if fits and same_text_key(question) not in asked:
                    asked[same_text_key(question)] = candidate
                    break
    return candidates_frame(asked.values(), doc_of)


def shares(passages: int, wanted: int) -> list[int]:
    """How many questions each passage gets: ``wanted`` in all, spread as evenly as whole numbers allow."""
    return [(index + 1) * wanted // passages - index * wanted // passages for index in range(passages)]


def _source(seed: int, passage_id: str) -> random.Random:
    return random.Random(f"{seed}/{passage_id}")  # noqa: S311 - reproducible, not secret


def _views(
    documents: pl.DataFrame,
    passages: pl.DataFrame,
    statistics: TermStatistics,
    settings: SdgSettings,
    kept: Kept | None,
) -> list[View]:
    """The passages as the recipes see them.

    What several passages say word for word, and what says next to nothing, is left out where there is more.
    """
    titles = dict(documents.select("doc_id", "title").iter_rows())
    rows = list(passages.iter_rows(named=True))
    read = passages_read([(row["text"], row["language"]) for row in rows], settings.max_question_chars, kept)
    shared = Counter(one.key for passage in read for one in passage.sentences)
    views = []
    for row, passage in zip(rows, read, strict=True):
        heading = heading_of(row["title"]) or titles.get(row["doc_id"], "")
        own = [one for one in passage.sentences if one.text not in heading]
        alone = [one for one in own if shared[one.key] == 1] or own
        telling = [one.text for one in [one for one in alone if _says_something(one, statistics)] or alone]
        _source(settings.seed, row["passage_id"]).shuffle(telling)
        views.append(
            View(row["passage_id"], heading, row["text"], row["language"], tuple(telling), statistics, passage.counted)
        )
    return views


def _says_something(sentence: Sentence, statistics: TermStatistics) -> bool:
    """Whether a sentence can tell its passage from others."""
    return len(sentence.forms - statistics.function_words) >= MIN_CONTENT_WORDS


def _attempts(view: View, linked: Sequence[View], rng: random.Random, turn: int) -> Iterator[Candidate]:
    """What the recipes make of the passage, one after the other in a random order weighted by ``MIX``.

    Weighted order: Efraimidis and Spirakis 2006, "Weighted random sampling with a reservoir".
    """
    keys = {recipe: rng.random() ** (1 / weight) for recipe, weight in MIX.items()}
    for recipe in sorted(keys, key=lambda name: -keys[name]):
        if recipe == TWO_PASSAGES:
            candidate = two_passages(view, rng.choice(linked), rng) if linked else None
        else:
            candidate = RECIPES[recipe](view, rng, turn)
        if candidate is not None:
            yield candidate
