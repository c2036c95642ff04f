"""Recipes of the offline generator: each makes one question from one passage, or None where it does not fit.

Every recipe takes a :class:`View` of the passage and a seeded random source. ``turn`` counts the questions
already asked about the passage, so that successive questions use different sentences.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from embed_pipeline.sdg.candidates import Candidate, Hop
from embed_pipeline.sdg.offline.phrasing import IN_PLACE, QUESTION_MARKS, QUESTION_WORDS, defined_term, rephrased
from embed_pipeline.text.words import Counted, TermStatistics, Word, counted_words, join, words

DROP_SHARE = 0.3
KEYWORDS = (3, 7)
REASONING = {"How": "procedural", "Why": "causal", "When": "temporal"}
CLOZE_WORDS = (6, 14)
DEFINED_WORDS = 5
LARGEST_MASKED_SHARE = 0.6


@dataclass(frozen=True)
class View:
    """A passage as the recipes see it.

    Attributes:
        units: its sentences, verbatim, in the order in which they are to be asked about.
        heading: title of the document and heading of the section.
        counted: the words of its text, where they are known.
    """

    passage_id: str
    heading: str
    text: str
    language: str
    units: tuple[str, ...]
    statistics: TermStatistics
    counted: Sequence[Counted] | None = None

    @cached_property
    def rarest(self) -> list[Word]:
        """The content words of the text, most telling first."""
        return self.statistics.rarest_of(counted_words(self.text) if self.counted is None else self.counted)

    @cached_property
    def forms(self) -> frozenset[str]:
        """Every word of the text, as counted."""
        return frozenset(word.form for word in words(self.text))


Recipe = Callable[[View, random.Random, int], Candidate | None]


def _candidate(view: View, recipe: str, question: str, evidence: str, query_type: str, mask: bool = False) -> Candidate:
    return Candidate(
        question=question,
        answer=evidence or view.text,
        query_type=query_type,
        reasoning_type=REASONING.get(question.split(maxsplit=1)[0], "factual"),
        complexity=2,
        hops=(Hop(view.passage_id, evidence),),
        mask_evidence=mask,
        generator=f"offline/{recipe}",
    )


def inverse_cloze(view: View, _rng: random.Random, turn: int) -> Candidate | None:
    """A sentence asks for the rest of its passage; training cuts the sentence out.

    Source: Lee, Chang and Toutanova 2019, "Latent Retrieval for Weakly Supervised Open Domain QA", 4.
    """
    fitting = [unit for unit in view.units if len(unit) <= LARGEST_MASKED_SHARE * len(view.text)]
    if not fitting:
        return None
    unit = fitting[turn % len(fitting)]
    return _candidate(view, "inverse_cloze", unit, unit, "inverse_cloze", mask=True)


def dropped_words(view: View, rng: random.Random, turn: int) -> Candidate | None:
    """A sentence without a third of its words; the passage stays whole."""
    if not view.units:
        return None
    unit = view.units[turn % len(view.units)]
    kept = [word for word in words(unit) if rng.random() >= DROP_SHARE]
    return _candidate(view, "dropped_words", join(kept), unit, "contextual") if len(kept) >= 3 else None


def question(view: View, rng: random.Random, turn: int) -> Candidate | None:
    """A sentence as a question by the patterns of its language, else by a question word.

    The latter is a plain form of noisy cloze questions: Lewis, Denoyer and Riedel 2019, "Unsupervised Question
    Answering by Cloze Translation".
    """
    ordered = [view.units[(turn + step) % len(view.units)] for step in range(len(view.units))]
    for unit in ordered:
        text = rephrased(unit, view.language, rng)
        if text is not None:
            return _candidate(view, "question", text, unit, "contextual")
    return noisy_cloze(view, rng, turn)


def noisy_cloze(view: View, rng: random.Random, turn: int) -> Candidate | None:
    """A question word before six to fourteen words in a row of a sentence, one content word left out.

    Where the language leaves the question word in place, it stands for the word left out.
    """
    starts, in_place = QUESTION_WORDS.get(view.language), IN_PLACE.get(view.language)
    if not view.units or not (starts or in_place):
        return None
    unit = view.units[turn % len(view.units)]
    parts = words(unit)
    size = rng.randint(*CLOZE_WORDS)
    start = rng.randint(0, max(0, len(parts) - size))
    window = parts[start : start + size]
    content = [word for word in window if word.form not in view.statistics.function_words]
    if len(content) < 3:
        return None
    asked = rng.choice(content)
    if in_place:
        put = asked._replace(surface=in_place[asked.is_number])
        text = join([put if word is asked else word for word in window])
    else:
        text = f"{rng.choice(starts or ())} {join([word for word in window if word is not asked])}"
    return _candidate(view, "question", text + QUESTION_MARKS.get(view.language, "?"), unit, "contextual")


def keywords(view: View, rng: random.Random, _turn: int) -> Candidate | None:
    """Three to seven of the rarest terms of the passage."""
    pool = view.rarest[:12]
    if len(pool) < KEYWORDS[0]:
        return None
    chosen = rng.sample(pool, min(rng.randint(*KEYWORDS), len(pool)))
    return _candidate(view, "keywords", join(chosen), _about(view, chosen), "keyword")


def heading(view: View, rng: random.Random, _turn: int) -> Candidate | None:
    """The heading with one to three rare terms of the passage."""
    if not view.heading.strip():
        return None
    known = {word.form for word in words(view.heading)}
    pool = [word for word in view.rarest[:10] if word.form not in known]
    if len(pool) < 2:
        return None
    chosen = rng.sample(pool, min(rng.randint(1, 3), len(pool)))
    asked = f"{view.heading.strip()} {join(chosen)}"
    return _candidate(view, "heading", asked, _about(view, chosen), "structural")


def _about(view: View, terms: Sequence[Word]) -> str:
    """The sentence that holds most of the terms; empty when none holds any."""
    forms = {term.form for term in terms}
    counted = [(len(forms & {word.form for word in words(unit)}), unit) for unit in view.units]
    most = max(counted, key=lambda pair: pair[0], default=(0, ""))
    return most[1] if most[0] else ""


def definition(view: View, _rng: random.Random, _turn: int) -> Candidate | None:
    """A sentence of the form "X is a ..." becomes "What is X?" in the languages whose pattern is known."""
    for unit in view.units:
        defined = defined_term(unit, view.language)
        if defined and view.statistics.content_words(defined[0]) and len(words(defined[0])) <= DEFINED_WORDS:
            return _candidate(view, "definition", defined[1], unit, "contextual")
    return None


RECIPES: Mapping[str, Recipe] = {
    "inverse_cloze": inverse_cloze,
    "dropped_words": dropped_words,
    "question": question,
    "keywords": keywords,
    "heading": heading,
    "definition": definition,
}
