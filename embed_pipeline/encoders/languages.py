"""Whether a model knows the language of a corpus: by what its card says, else by how its tokenizer cuts the texts."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from embed_pipeline.encoders.model_facts import own_card
from embed_pipeline.text.scripts import HANGUL, UNSPACED

ENGLISH = "en"
UNKNOWN = "und"
LEAST_LETTERS = 2.5
"""Letters a token covers on average, in scripts with spaces. MiniLM's English vocabulary: 4.0 in English, 1.9 to 2.4 in
German, French, Spanish, Dutch, Polish, 1.0 in Russian. No vocabulary made for many languages has been measured."""
LEAST_LETTERS_DENSE = 1.1
"""The same in scripts without spaces and in Korean, where a letter is a syllable or a word."""
MOST_UNKNOWN = 0.05
SAMPLE = 256
"""Texts looked at."""
MULTILINGUAL = "intfloat/multilingual-e5-small"


def language_warning(name: str, folder: Path, languages: Sequence[str], texts: Sequence[str]) -> str | None:
    """What to tell about a model that does not know the corpus's language; None where it does, or is English.

    Args:
        name: of the model, as in the settings.
        folder: of the model.
        languages: ISO 639-1 code of each text, und where it cannot be told.
        texts: as the encoder sees them.
    """
    told = Counter(code for code in languages if code != UNKNOWN)
    foreign = told.total() - told[ENGLISH]
    if not foreign or foreign <= told.total() / 2:
        return None
    language, count = Counter({code: number for code, number in told.items() if code != ENGLISH}).most_common(1)[0]
    chosen = [text for text, code in zip(texts, languages, strict=True) if code == language]
    said = _by_card(own_card(folder), language)
    why = _by_tokens(folder, language, chosen) if said is None else said
    if not why:
        return None
    return (
        f"{name} was not made for the language of this corpus ({language}: {count / len(languages):.0%} of the "
        f"passages): {why}. Try a model that knows it: base_model: {MULTILINGUAL}, or compare some first with "
        "eval.candidates."
    )


def _by_card(card: Mapping[str, object], language: str) -> str | None:
    """None where the card does not say; empty where it names the language."""
    found = card.get("language")
    named = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    codes = [str(one).lower().replace("_", "-").partition("-")[0] for one in named]
    if not codes:
        return None
    return "" if {language, "multilingual"} & set(codes) else f"its model card names {', '.join(codes[:5])}"


def _by_tokens(folder: Path, language: str, texts: Sequence[str]) -> str:
    """Why the tokenizer does not seem made for the texts; empty where it does, or there is none to ask."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        return ""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    sample = texts[:: max(1, len(texts) // SAMPLE)][:SAMPLE]
    tokens = [token for found in tokenizer.encode_batch(sample, add_special_tokens=False) for token in found.tokens]
    letters = sum(character.isalpha() for text in sample for character in text)
    if not tokens or not letters:
        return ""
    unknown = sum(token in ("[UNK]", "<unk>") for token in tokens) / len(tokens)
    if unknown > MOST_UNKNOWN:
        return f"its tokenizer does not know {unknown:.0%} of what it cuts"
    dense = len(re.findall(f"[{UNSPACED}{HANGUL}]", "".join(sample))) > letters / 2
    covered = letters / len(tokens)
    if covered >= (LEAST_LETTERS_DENSE if dense else LEAST_LETTERS):
        return ""
    return f"its tokenizer cuts {language} into crumbs of {covered:.1f} letters"
