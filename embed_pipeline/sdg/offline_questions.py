"""Sentences turned into questions, by the few patterns known for each language.

English has patterns for conditions, purposes, reasons, definitions and fronted auxiliaries; the other languages
listed have definitions and question words. Elsewhere nothing is turned into a question.
"""

import random
import re
from collections.abc import Mapping

QUESTION_WORDS: Mapping[str, tuple[str, ...]] = {
    "de": ("was", "wie", "welche", "wann", "warum", "wo"),
    "en": ("what", "how", "which", "when", "why", "where"),
    "es": ("qué", "cómo", "cuál", "cuándo", "por qué", "dónde"),
    "fr": ("que", "comment", "quel", "quand", "pourquoi", "où"),
    "it": ("che cosa", "come", "quale", "quando", "perché", "dove"),
    "nl": ("wat", "hoe", "welke", "wanneer", "waarom", "waar"),
    "pt": ("o que", "como", "qual", "quando", "por que", "onde"),
}
DEFINITIONS: Mapping[str, tuple[str, str]] = {
    "de": (r"(?:(?:der|die|das|eine?) )?([^,]{3,60}?) (?:ist|sind) (?:eine?|der|die|das)\b", "Was ist {}?"),
    "en": (r"(?:(?:the|an?) )?([^,]{3,60}?) (?:is|are|means|refers to) (?:an?|the|any)\b", "What is {}?"),
    "es": (r"(?:(?:el|la|los|las|una?) )?([^,]{3,60}?) (?:es|son) (?:una?|el|la)\b", "¿Qué es {}?"),
    "fr": (r"(?:(?:les?|la|une?) |l['’])?([^,]{3,60}?) (?:est|sont) (?:une?|les?|la|des)\b", "Qu'est-ce que {} ?"),
}
LAST_PART_WORDS = (6, 16)
_AUXILIARY = r"(is|are|was|were|can|may|must|shall|should|will|has|have|cannot|does|do)"
_PLAIN = {"the", "a", "an", "this", "these", "it", "all", "each", "every", "no", "we", "if", "in", "there", "they"}
_ENGLISH = (
    (re.compile(r"(?:If|Where) ([^,]{10,120}), .{8,}"), ("What happens if {0}?", "What to do if {0}?")),
    (re.compile(r"(?:When|Whenever|Once) ([^,]{10,120}), .{8,}"), ("What happens when {0}?", "What to do when {0}?")),
    (re.compile(r"(?:In order to|To) ([^,]{8,120}), .{8,}"), ("How to {0}?", "How do I {0}?")),
    (
        re.compile(r"(.{12,140}?),? (?:because|due to|so that|as a result of) .{8,}"),
        ("Why {0}?", "Why is it that {0}?"),
    ),
    (
        re.compile(rf"([^,;:]{{3,80}}?) {_AUXILIARY} (.{{8,}}?)[.;:]?"),
        ("{1} {0} {2}?", "When {1} {0} {2}?", "Why {1} {0} {2}?"),
    ),
)


def defined_term(sentence: str, language: str) -> tuple[str, str] | None:
    """The term that "X is a ..." defines and the question that asks for it, where the pattern is known."""
    if language not in DEFINITIONS:
        return None
    pattern, template = DEFINITIONS[language]
    match = re.match(pattern, sentence, re.IGNORECASE)
    return (match.group(1), template.format(match.group(1))) if match else None


def rephrased(sentence: str, language: str, rng: random.Random) -> str | None:
    """An English sentence as a question, its last part cut to some words; None where no pattern fits."""
    if language != "en" or sentence.endswith("?"):
        return None
    flat = " ".join(sentence.split())
    for pattern, templates in _ENGLISH:
        match = pattern.fullmatch(flat)
        if match:
            parts = [_lowered(part) for part in match.groups()]
            parts[-1] = " ".join(parts[-1].split()[: rng.randint(*LAST_PART_WORDS)])
            text = rng.choice(templates).format(*parts)
            return text[0].upper() + text[1:]
    return None


def _lowered(part: str) -> str:
    plain = part.split(maxsplit=1)[0].casefold() in _PLAIN
    return part[0].lower() + part[1:] if plain else part
