"""How well a text reads: do its characters beyond ASCII belong to a language, and stand where they do in words?

The letters are the exemplar characters of Unicode CLDR, those of loan words included where they are usual.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

_LATIN = {
    "af": "áäéèêëíîïóôöúûüý",
    "an": "áéíñóúü",
    "az": "çəğıöşü",
    "br": "âêîôûñùü",
    "bs": "čćđšž",
    "ca": "àçèéíïòóúü",
    "cs": "áčďéěíňóřšťúůýžöü",
    "cy": "áàâäéèêëîïôöûüŵŷ",
    "da": "æøåéèêóöäü",
    "de": "äöüßéèêàçñ",
    "en": "",
    "eo": "ĉĝĥĵŝŭ",
    "es": "áéíñóúüç",
    "et": "äõöüšž",
    "eu": "ñçü",
    "fi": "äöåšžéü",
    "fo": "áðíóúýæøö",
    "fr": "àâæçèéêëîïôœùûüÿñ",
    "ga": "áéíóú",
    "gl": "áéíñóúüï",
    "hr": "čćđšžéü",
    "hu": "áéíóöőúüűä",
    "id": "éèêñ",
    "is": "áðéíóúýþæöäü",
    "it": "àèéìíîòóùúç",
    "ku": "çêîşû",
    "la": "āēīōūæœë",
    "lb": "äëéèêöüûâîôç",
    "lt": "ąčęėįšųūž",
    "lv": "āčēģīķļņōŗšūž",
    "mg": "àèìòâêîôñ",
    "ms": "éè",
    "mt": "ċġħżàèìòù",
    "nb": "æøåéèêóòôàäöü",
    "nl": "áàâäçéèêëíïîñóôöúûü",
    "oc": "áàçéèíïñóòúü",
    "pl": "ąćęłńóśźżéäöü",
    "pt": "àáâãçéêíóôõúü",
    "ro": "ăâîșțşţéá",
    "se": "áčđŋšŧžäöåæø",
    "sk": "áäčďéíĺľňóôŕšťúýžěřöü",
    "sl": "čšžćđéü",
    "sq": "çë",
    "sv": "åäöéàü",
    "tl": "ñáéíóú",
    "tr": "çğıöşüâîû",
    "vi": "àảãáạăằẳẵắặâầẩẫấậđèẻẽéẹêềểễếệìỉĩíịòỏõóọôồổỗốộơờởỡớợùủũúụưừửữứựỳỷỹýỵ",
    "vo": "äöü",
    "wa": "åâçéèêîôû",
}
_LATIN |= {"no": _LATIN["nb"], "nn": _LATIN["nb"], "sw": "", "xh": "", "zu": "", "rw": ""}
_RUSSIAN = "абвгдежзийклмнопрстуфхцчшщъыьэюяё"
_CYRILLIC = {
    "be": "абвгдежзйклмнопрстуфхцчшыьэюяёіў",
    "bg": "абвгдежзийклмнопрстуфхцчшщъьюяѝ",
    "kk": _RUSSIAN + "әғқңөұүһі",
    "ky": _RUSSIAN + "ңөү",
    "mk": "абвгдежзиклмнопрстуфхцчшѓѕјљњќџѐѝ",
    "mn": _RUSSIAN + "өү",
    "ru": _RUSSIAN,
    "sr": "абвгдежзиклмнопрстуфхцчшђјљњћџ",
    "tg": _RUSSIAN + "ғӣқӯҳҷ",
    "uk": "абвгдежзийклмнопрстуфхцчшщьюяґєії",
}
_FREQUENT_CYRILLIC = frozenset("оаеинтрсвліыјклэ")
_ARABIC = r"[\u0600-\u06ff\u200c]", frozenset("اليمنوترةهبیدسع")
_SCRIPTS = {
    "ar": _ARABIC,
    "el": (r"[\u0370-\u03ff]", frozenset("αάοόιίεέτσςνηήυρκπ")),
    "fa": _ARABIC,
    "he": (r"[\u05d0-\u05f4]", frozenset("יוהלארתבמשנ")),
    "hy": (r"[\u0530-\u058f]", frozenset("աեոնիրտկվլմ")),
    "ka": (r"[\u10a0-\u10ff]", frozenset("აიეოსრნლდმბ")),
    "ps": _ARABIC,
    "th": (r"[\u0e00-\u0e7f]", frozenset("านรอก่เ้งมยลวทีัิสดต")),
    "ug": _ARABIC,
    "ur": _ARABIC,
}
"""Pattern of a script's characters, and the letters that make most of a text."""
_WORD_OR_SIGN = re.compile(r"\w+|[^\x00-\x7f\w]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_KANA = re.compile(r"[\u3000-\u30ff\uff01-\uff9f]")
_HANGUL = re.compile(r"[\uac00-\ud7a3\u3000-\u303f\uff01-\uff5e]")
_MARKS = re.compile(
    r"[\u2010-\u2015\u2018-\u201f\u2020\u2022\u2026\u2032\u2033\u2039\u203a\xa1\xa7\xab\xb6\xb7\xbb\xbf]"
)
_SIGNS = re.compile(
    r"[\xa0\xa2\xa3\xa5\xa9\xaa\xad\xae\xb0-\xb3\xb5\xb9\xba\xbc-\xbe\xd7\xf7\u20ac\u2122\u2030\u2116\u2190-\u22ff]"
)
_JOINING = frozenset("\u2019\u2010\u2011\u2013\u2014\xb7\xad")
_AFTER_DIGITS = frozenset("\xb9\xb2\xb3\xbc\xbd\xbe\xd7\xf7\xaa\xba")
_LEAST_FREQUENT = 0.45
"""Share of the letters that the frequent ones make at least, in a script where nothing else tells encodings apart."""
_NAMES = ("fr de es pt sv da fi it nl ca", "pl cs sk hu ro hr tr lv lt et", "is")
"""Languages whose names and words are met in others, those that are met more often first."""
_RARER = 0.02
_FOREIGN_NAME = 0.8
_LATER = 0.02
_AMONG = 12
_LATIN_LETTER = re.compile(r"[A-Za-z\xc0-\u024f\u1e00-\u1eff]")
_ALPHABETIC = re.compile(r"[\u0370-\u06ff]")


class _Reader(NamedTuple):
    """How a language is read.

    Attributes:
        has: whether a character is one of its letters.
        frequent: its frequent letters; none where the letters tell enough.
        name: worth of the letters of a name from another language.
    """

    has: Callable[[str], bool]
    frequent: frozenset[str] = frozenset()
    name: float = 0.0


class _Beyond(NamedTuple):
    """A character beyond ASCII, its neighbours, and all such letters of its word."""

    before: str
    character: str
    after: str
    letters: frozenset[str]


def how_well(text: str, languages: int = 3) -> float:
    """Share of the characters beyond ASCII that are right for the language the text seems to be in; 1 without any.

    A character is right that is a letter of the language, small and capital and of one script with its neighbours,
    or a mark or sign where such stand.

    Args:
        languages: so many of the likeliest languages are tried, the best counts. Later ones count a little less.
    """
    beyond = list(_beyond_ascii(text))
    if not beyond:
        return 1.0
    return max(
        (_share(beyond, _readers()[code]) - _LATER * at for at, code in enumerate(_likely(text, languages))), default=0
    )


def _likely(text: str, count: int) -> list[str]:
    """The likeliest languages; in Latin letters, of those that the text is likely in by its ASCII letters too."""
    from py3langid import rank

    ranked = [code for code, _ in rank(text) if code in _readers()]
    plain = [code for code, _ in rank(_NOT_ASCII.sub("", text)) if code in _LATIN][:_AMONG]
    return [code for code in ranked if code not in _LATIN or code in plain][:count]


def _beyond_ascii(text: str) -> Iterator[_Beyond]:
    lonely = [ord(mark) for pair in ("«»", "‹›") for mark in pair if sum(one in text for one in pair) == 1]
    padded = f" {text} ".translate(dict.fromkeys(lonely, "\ufffd"))
    for match in _WORD_OR_SIGN.finditer(text):
        letters = frozenset(_NOT_ASCII.findall(match.group().lower()))
        for at in range(match.start() + 1, match.end() + 1):
            if not padded[at].isascii():
                yield _Beyond(padded[at - 1], padded[at], padded[at + 1], letters)


def _share(beyond: Sequence[_Beyond], reader: _Reader) -> float:
    right = sum(_worth(one, reader) for one in beyond) / len(beyond)
    letters = [one.character.lower() for one in beyond if one.character.isalpha()]
    if not reader.frequent or not letters:
        return right
    return right * min(1.0, sum(letter in reader.frequent for letter in letters) / len(letters) / _LEAST_FREQUENT)


def _worth(one: _Beyond, reader: _Reader) -> float:
    """1 where a character is right, something where its word may be a name of another language, else 0."""
    within = one.before.isalpha() and one.after.isalpha()
    if _MARKS.match(one.character):
        return float(one.character in _JOINING or not within)
    if _SIGNS.match(one.character):
        is_free = one.character not in _AFTER_DIGITS or one.before.isdigit() or not one.after.isalpha()
        return float(is_free and not within)
    if not _stands_well(one):
        return 0.0
    if reader.has(one.character.lower()):
        return 1.0
    fitting = (rank for rank, alphabets in enumerate(_names_of()) if any(map(one.letters.issubset, alphabets)))
    rarity = next(fitting, None)
    return 0.0 if rarity is None else max(reader.name - _RARER * rarity, 0.0)


def _stands_well(one: _Beyond) -> bool:
    """A small or capital letter where words have such, among letters of its own script."""
    before, character, after = one.before, one.character, one.after
    if character.isupper() and (before.islower() or (before.isalpha() and after.islower())):
        return False
    if _ALPHABETIC.match(character) and any(_LATIN_LETTER.match(other) for other in (before, after)):
        return False
    return not (character == "ς" and after.isalpha())


@cache
def _names_of() -> list[list[frozenset[str]]]:
    return [[frozenset(_LATIN[code]) for code in codes.split()] for codes in _NAMES]


@cache
def _readers() -> dict[str, _Reader]:
    latin = {code: _Reader(_among(alphabet), name=_FOREIGN_NAME) for code, alphabet in _LATIN.items()}
    latin |= {code: _Reader(lambda _: False, name=1.0) for code in ("en", "sw", "xh", "zu", "rw")}
    cyrillic = {code: _Reader(_among(alphabet), _FREQUENT_CYRILLIC) for code, alphabet in _CYRILLIC.items()}
    scripts = {code: _Reader(_matching(pattern), frequent) for code, (pattern, frequent) in _SCRIPTS.items()}
    east_asian = {"ja": _Reader(_is_japanese), "zh": _Reader(_is_chinese), "ko": _Reader(_is_korean)}
    return latin | cyrillic | scripts | east_asian


def _among(alphabet: str) -> Callable[[str], bool]:
    letters = frozenset(alphabet) | (frozenset("\u0300\u0301\u0303\u0309\u0323") if "ạ" in alphabet else frozenset())
    return letters.__contains__


def _matching(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda character: compiled.match(character) is not None


def _is_japanese(character: str) -> bool:
    """Kana, or a kanji of level 1 of JIS X 0208: the common ones."""
    return _KANA.match(character) is not None or _lead_byte(character, "euc_jp") in range(0xB0, 0xD0)


def _is_chinese(character: str) -> bool:
    """A character of level 1 of GB 2312 or of Big5: the common ones; or full-width punctuation."""
    if "\u3000" <= character <= "\u303f" or "\uff01" <= character <= "\uff5e":
        return True
    return _lead_byte(character, "gb2312") in range(0xB0, 0xD8) or _lead_byte(character, "big5") in range(0xA4, 0xC7)


def _is_korean(character: str) -> bool:
    return _HANGUL.match(character) is not None


def _lead_byte(character: str, encoding: str) -> int:
    try:
        return unicodedata.normalize("NFC", character).encode(encoding)[0]
    except UnicodeEncodeError:
        return 0
