"""How a question is worded: does it point at its text, does it copy it, is it the same as another."""

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

_TEXT = r"(?:passages?|texts?|documents?|articles?|excerpts?|extracts?|paragraphs?|segments?|snippets?|context)"
_GIVEN = r"(?:given|provided|above|following|preceding|presented|quoted|present|supplied)"
_TOLD = r"(?:says?|states?|stated|mentions?|mentioned|describes?|described|discuss(?:es|ed)?|explains?|explained)"
_REFERENCES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # English
        rf"\b(?:according to|based on|as per|per) (?:the|this|these) (?:{_GIVEN} )?(?:{_TEXT}|section|authors?)\b",
        rf"\b(?:in|from|by|of|on) (?:this|the {_GIVEN}) (?:{_TEXT}|section)\b",
        r"\b(?:in|from) the (?:passages?|excerpt|snippet|text|paragraph|segment)\b(?! (?:field|box|area|column))",
        rf"\b(?:the|this) (?:{_TEXT}|authors?) (?:above|below|{_TOLD})\b",
        rf"\bdo(?:es)? (?:the|this|these) (?:{_TEXT}|authors?) (?:say|state|mention|describe|discuss|explain|imply)\b",
        rf"\b(?:mentioned|described|stated|discussed|provided|given|listed|outlined) (?:in|by) (?:the|this) {_TEXT}\b",
        r"\b(?:as )?(?:mentioned|described|stated|discussed|listed|outlined|noted) (?:above|below)\b",
        r"\b(?:in|of|from|to|see) (?:passage|segment|excerpt|chunk) \d+\b",
        # German, French, Spanish, Italian, Portuguese
        r"\b(?:laut|gemäß) (?:dem|diesem) (?:\w+en )?(?:text|dokument|abschnitt|absatz|auszug|artikel)\b",
        r"\b(?:im|in diesem) (?:obigen |vorliegenden |gegebenen )?(?:textabschnitt|textauszug|abschnitt oben|text)\b",
        r"\b(?:selon|d['’]après) (?:le|ce|cet) (?:texte|passage|document|extrait|article|paragraphe)\b",
        r"\b(?:según|de acuerdo con) (?:el|este) (?:texto|pasaje|documento|fragmento|artículo|párrafo)\b",
        r"\b(?:secondo|in base a) (?:il|questo) (?:testo|brano|documento|passaggio|passo)\b",
        r"\b(?:segundo|de acordo com|conforme) o (?:texto|documento|trecho)\b",
        # Chinese, Japanese
        r"(?:根据|依据|按照)(?:上文|本文|文中|原文|文章|以上|上述|该文|这段|这篇|文本|文档|段落)|(?:文中|本文|上文)(?:提到|所述|描述)",
        r"(?:この|上記の|本)(?:文章|文書|段落|テキスト|記事)(?:に|で|の|は)|本文(?:に|で|の|中)",
    )
)
# Scripts written without spaces: every character counts as a word.
_WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]|[^\W_]+")


def refers_to_text(question: str) -> bool:
    """Whether a question points at the text it was made from ("according to the passage")."""
    line = " ".join(question.split())
    return any(pattern.search(line) for pattern in _REFERENCES)


def words(text: str) -> list[str]:
    """Words without case, punctuation and compatibility forms."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def same_form(question: str) -> str:
    """Questions with the same form are one: only case, punctuation and spaces differ."""
    return " ".join(words(question)) or question.strip()


def longest_run(asked: Sequence[str], passage: Sequence[str]) -> int:
    """Length of the longest run of ``asked`` that stands in ``passage`` unbroken and in order, in words."""
    matcher = SequenceMatcher(None, passage, asked, autojunk=False)
    return matcher.find_longest_match().size
