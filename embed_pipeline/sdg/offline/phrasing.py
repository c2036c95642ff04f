"""Sentences turned into questions, by the few patterns known for each language.

English has patterns for conditions, purposes, reasons, definitions and fronted auxiliaries; the other languages
listed have question words and some have definitions. Elsewhere nothing is turned into a question.
"""

import random
import re
from collections.abc import Mapping, Sequence

QUESTION_WORDS: Mapping[str, tuple[str, ...]] = {
    "ar": ("ما", "كيف", "أي", "متى", "لماذا", "أين"),
    "cs": ("co", "jak", "který", "kdy", "proč", "kde"),
    "da": ("hvad", "hvordan", "hvilken", "hvornår", "hvorfor", "hvor"),
    "de": ("was", "wie", "welche", "wann", "warum", "wo"),
    "el": ("τι", "πώς", "ποιος", "πότε", "γιατί", "πού"),
    "en": ("what", "how", "which", "when", "why", "where"),
    "es": ("qué", "cómo", "cuál", "cuándo", "por qué", "dónde"),
    "fa": ("چه", "چگونه", "کدام", "کی", "چرا", "کجا"),
    "fr": ("que", "comment", "quel", "quand", "pourquoi", "où"),
    "he": ("מה", "איך", "איזה", "מתי", "למה", "איפה"),
    "hi": ("क्या", "कैसे", "कौन", "कब", "क्यों", "कहाँ"),
    "hu": ("mi", "hogyan", "melyik", "mikor", "miért", "hol"),
    "id": ("apa", "bagaimana", "mana", "kapan", "mengapa", "di mana"),
    "it": ("che cosa", "come", "quale", "quando", "perché", "dove"),
    "nl": ("wat", "hoe", "welke", "wanneer", "waarom", "waar"),
    "pl": ("co", "jak", "który", "kiedy", "dlaczego", "gdzie"),
    "pt": ("o que", "como", "qual", "quando", "por que", "onde"),
    "ro": ("ce", "cum", "care", "când", "de ce", "unde"),
    "ru": ("что", "как", "какой", "когда", "почему", "где"),
    "tr": ("ne", "nasıl", "hangi", "ne zaman", "neden", "nerede"),
    "uk": ("що", "як", "який", "коли", "чому", "де"),
}
"""What a question begins with."""
IN_PLACE: Mapping[str, tuple[str, str]] = {
    "ja": ("何", "いくつ"),
    "ko": ("무엇", "몇"),
    "th": ("อะไร", "เท่าไร"),
    "vi": ("gì", "bao nhiêu"),
    "zh": ("什么", "多少"),
}
"""What stands in the place of the word asked for, and of a number, where the order of words does not change."""
QUESTION_MARKS: Mapping[str, str] = {"ar": "؟", "el": ";", "fa": "؟", "ja": "？", "zh": "？"}
"""Where it is not the usual one."""
DEFINITIONS: Mapping[str, tuple[str, str]] = {
    "ar": (r"([^،,]{3,60}?) (?:هو|هي) (?:عبارة عن|أحد|إحدى|نوع من|واحدة? من)", "ما هو {}؟"),
    "de": (r"(?:(?:der|die|das|eine?) )?([^,]{3,60}?) (?:ist|sind) (?:eine?|der|die|das)\b", "Was ist {}?"),
    "en": (r"((?:an? )?[^,]{3,60}?) (is|are|means|refers to) (?:an?|the|any)\b", "What {} {}?"),
    "es": (r"(?:(?:el|la|los|las|una?) )?([^,]{3,60}?) (?:es|son) (?:una?|el|la)\b", "¿Qué es {}?"),
    "fr": (r"(?:(?:les?|la|une?) |l['’])?([^,]{3,60}?) (?:est|sont) (?:une?|les?|la|des)\b", "Qu'est-ce que {} ?"),
    "it": (r"(?:(?:il|lo|la|i|gli|le|un[ao]?) |l['’])?([^,]{3,60}?) (?:è|sono) (?:un[ao]?|il|la)\b", "Che cos'è {}?"),
    "ja": (r"([^、。]{2,20}?)とは", "{}とは何ですか"),
    "nl": (r"(?:(?:de|het|een) )?([^,]{3,60}?) (?:is|zijn) (?:een|de|het)\b", "Wat is {}?"),
    "pt": (r"(?:(?:os?|as?|uma?) )?([^,]{3,60}?) (?:é|são) (?:uma?|o|a)\b", "O que é {}?"),
    "ru": (r"([^,—–]{3,60}?) [—–] это\b", "Что такое {}?"),
    "vi": (r"([^,]{3,60}?) là (?:một|những)\b", "{} là gì?"),
    "zh": (r"([^，。；：、]{2,16}?)(?:是指|指的是|是一[种種个個名座位部家款项項])", "什么是{}？"),
}
_NO_TERM = re.compile(
    r"(?:here|there|this|that|it|these|those|they|he|she|we|you|if|when|where|what|which|who|one|each|all|such|any|"
    r"no|note|in|for|as|the|only|so|its|their|your|after|before|below|above|another|other|both|following|most|many|some|"
    r"es|er|sie|dies|das|hier|dort|wir|man|il|elle|ce|c['’]est|on|nous|voici|esto|este|esta|ello|él|ella|aquí|"
    r"esso|questo|questa|qui|isto|ele|ela|aqui|dit|dat|hij|zij|"
    r"это|он|она|они|هذا|هذه|ذلك|تلك|وهذا|وهذه|đó|đây|nó)\b|[这這那它他她其此该該但而也]|こ[れの]|そ[れの]",
    re.IGNORECASE,
)
_PAIRED = (("(", ")"), ("[", "]"), ("{", "}"), ("“", "”"), ("«", "»"))
LAST_PART_WORDS = (6, 16)
_AUXILIARY = r"(is|are|was|were|can|may|must|shall|should|will|has|have|cannot|does|do)"
_PLAIN = frozenset(
    [
        *(
            "the",
            "a",
            "an",
            "this",
            "these",
            "that",
            "those",
            "it",
            "its",
            "all",
            "each",
            "every",
            "no",
            "both",
            "such",
        ),
        *("we", "our", "you", "your", "they", "their", "he", "she", "his", "her", "my", "any", "some", "most", "many"),
        *("if", "in", "at", "on", "by", "for", "there"),
    ]
)
# What begins or ends so is not the subject of the sentence; what these words stand for is said elsewhere, so that
# nobody would ask with them; and an imperative or the number of a clause has no subject.
_NO_SUBJECT = re.compile(
    r"(?:after|and|as|at|because|before|basically|but|by|during|either|except|for|from|here|how|however|if|in|note|of|"
    r"on|once|or|please|provided|since|so|that|then|thus|to|under|unless|until|upon|what|when|where|whether|which|"
    r"while|who|with|without|above|again|although|another|below|both|either|he|i|it|she|such|there|no|these|they|this|those|"
    r"we|you|the (?:above|below|following|former|latter)|"
    r"add|check|cut|do|ensure|fit|give|keep|make|note|read|remove|see|set|should|use|write)\b|"
    r"(?:\d+[.)]|[ivx]+\)|[^\w\"“])|.*\b(?:(?:that|what|which|who|if|where|when)\b|(?:and|or|to)$)",
    re.IGNORECASE | re.DOTALL,
)
_OPEN_END = frozenset(
    [
        *("a", "all", "an", "any", "each", "its", "no", "such", "that", "the", "their", "this", "your", "which", "who"),
        *("also", "and", "as", "if", "not", "or", "than", "at", "by", "for", "from", "in", "into", "of", "on", "to"),
        *("with", "are", "be", "been", "can", "could", "has", "have", "is", "may", "must", "should", "was", "were"),
        *("will", "would"),
    ]
)
_NEXT_CLAUSE = re.compile(r"[;:]\s|\.\s+(?=[A-Z])")
_PARTICIPLE = re.compile(
    r"(?:(?:not|also|never|always|already|now|\w+ly) )*(?:been|had|made|\w+(?:ed|en|wn))\b", re.IGNORECASE
)
_ANAPHORA = re.compile(r"(?:this|that|these|those|it|they|he|she|both|so|such|there)\b", re.IGNORECASE)
_ENGLISH = (
    (re.compile(r"(?:If|Where) ([^,]{10,120}), .{8,}"), ("What happens if {0}?", "What to do if {0}?")),
    (re.compile(r"(?:When|Whenever|Once) ([^,]{10,120}), .{8,}"), ("What happens when {0}?", "What to do when {0}?")),
    (
        re.compile(r"(?:In order to|To) (?!(?:the|an?|this|that|these|date|which)\b)([^,]{8,120}), .{8,}"),
        ("How to {0}?", "How do I {0}?"),
    ),
    (
        re.compile(r"(.{12,140}?),? (?:because|due to|so that|as a result of) .{8,}"),
        ("Why is it that {0}?",),
    ),
    (
        re.compile(rf"([^,;:]{{3,80}}?) {_AUXILIARY} (?!and |or )(.{{8,}}?)[.;:]?"),
        ("{1} {0} {2}?", "Why {1} {0} {2}?"),
    ),
)


def defined_term(sentence: str, language: str) -> tuple[str, str] | None:
    """The term that "X is a ..." defines and the question that asks for it, where the pattern is known."""
    if language not in DEFINITIONS:
        return None
    pattern, template = DEFINITIONS[language]
    match = re.match(pattern, sentence, re.IGNORECASE)
    if match is None or _NO_TERM.match(match.group(1)):
        return None
    term = match.group(1).strip(" \"'“”«»")
    if not term or _is_broken(term) or (language == "de" and not term[0].isupper()):
        return None
    if language == "en":
        verb = "are" if match.group(2).casefold() == "are" else "is"
        return term, template.format(verb, _lowered(term))
    return term, template.format(term)


def _is_broken(text: str) -> bool:
    """Whether a bracket or a quotation is opened and not closed, or the other way round."""
    return any(text.count(left) != text.count(right) for left, right in _PAIRED) or text.count('"') % 2 == 1


def rephrased(sentence: str, language: str, rng: random.Random) -> str | None:
    """An English sentence as a question, its last part cut to some words; None where no pattern fits."""
    if language != "en" or sentence.endswith("?"):
        return None
    flat = " ".join(sentence.split())
    for pattern, templates in _ENGLISH:
        match = pattern.fullmatch(flat)
        if match and not (match.start(1) == 0 and _NO_SUBJECT.match(match.group(1))):
            parts = [_lowered(part) for part in match.groups()]
            parts[-1] = _cut(parts[-1], rng.randint(*LAST_PART_WORDS))
            text = rng.choice(templates).format(*parts)
            if parts[-1] and not _points_elsewhere(parts) and not _is_broken(text):
                return text[0].upper() + text[1:]
    return None


def _points_elsewhere(parts: Sequence[str]) -> bool:
    """Whether it asks about "that", or with "has" as the verb of the sentence (has it an earth?)."""
    auxiliary = parts[1].casefold() if len(parts) > 1 else ""
    owned = auxiliary in ("has", "have") and not _PARTICIPLE.match(parts[-1])
    supported = auxiliary in ("do", "does") and not parts[-1].casefold().startswith("not ")
    return owned or supported or (len(parts) == 1 and _ANAPHORA.match(parts[0]) is not None)


def _cut(part: str, size: int) -> str:
    """The first words, up to the last on which a phrase can end."""
    kept = _NEXT_CLAUSE.split(part, maxsplit=1)[0].split()[:size]
    while kept and (kept[-1].casefold() in _OPEN_END or not kept[-1].strip(",;:.–—-")):
        kept.pop()
    return " ".join(kept).rstrip(" ,;:.")


def _lowered(part: str) -> str:
    plain = part.split(maxsplit=1)[0].casefold() in _PLAIN
    return part[0].lower() + part[1:] if plain else part
