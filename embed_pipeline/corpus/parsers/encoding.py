"""From bytes to text: byte order mark, declaration, UTF-8, then the encoding in which the text reads best."""

import codecs
import re
from typing import NamedTuple

import webencodings

from embed_pipeline.corpus.parsers.blocks import UnreadableError
from embed_pipeline.corpus.parsers.losses import EXAMPLES, Losses

CONFIDENCE = 0.9
"""Least share of the characters beyond ASCII that must be right for a language, where an encoding is guessed."""
_MARKS = (  # UTF-32 before UTF-16: the little-endian marks start alike
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BYTE_ORDER_MARKS = tuple(mark for mark, _ in _MARKS)
_MULTIBYTE = ("cp932", "euc_jp", "gb18030", "big5hkscs", "cp949")
_CANDIDATES = (  # on equal evidence the earlier one
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874"),
    *("iso8859-2", "iso8859-5", "iso8859-6", "iso8859-7", "iso8859-15", "koi8-r", "koi8-u"),
    *("mac-roman", "mac-latin2", "mac-cyrillic", "mac-greek", "mac-turkish", "iso8859-3", "iso8859-13", "iso8859-16"),
    *("cp850", "cp852", "cp437", "cp857", "cp861", "cp775", "cp866", "cp1125", "cp737", "cp862"),
    *_MULTIBYTE,
)
_PYTHON_NAMES = {"windows-874": "cp874", "gbk": "gb18030", "shift_jis": "cp932", "big5": "big5hkscs", "euc-kr": "cp949"}
_WITHIN_ASCII = ("hz", "utf-7")
_OF_PROGRAMS = ("idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined")
_ISO_2022 = ("iso2022_jp_2004", "iso2022_jp_ext", "iso2022_kr")
_MODE_LINE = re.compile(rb"-\*-.*?coding:\s*([\w.-]+).*?-\*-|\bvim?:.*?\bfileencoding=([\w.-]+)")
_SAMPLE = 20_000
_READ = 4000
_LEAST = 20
_BEYOND_CHANCE = 8
_PREFERENCE = 0.001
"""What the encoding that frequencies of letters speak for is ahead of the others."""
_CONTEXT = 30
_CONTROL_BYTE = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_OF_TERMINALS = re.compile(r"[\x80-\x84\x86-\x9f]")


class _Guess(NamedTuple):
    encoding: str
    confidence: float


def decode(data: bytes, declared: str | None = None, losses: Losses | None = None) -> str:
    """Bytes to text.

    In this order: byte order mark; UTF-16 without one; UTF-8 that cannot be chance; the declared encoding, read as
    WHATWG's standard says (iso-8859-1 and us-ascii mean windows-1252); UTF-8 with few bad bytes; the encoding in which
    the text reads best.

    Args:
        declared: label of the encoding that the file names; one that is unknown is told, and counts as none.
        losses: is told of bytes that are no character, which stand as U+FFFD, and of characters that show nothing.

    Raises:
        UnreadableError: none of them fits.
    """
    told = Losses() if losses is None else losses
    text = _decoded(data, declared, told)
    for found in _OF_TERMINALS.finditer(text):
        told.add("control character", f"U+{ord(found.group()):04X} in {_around(text, found.start())}")
    return text


def _decoded(data: bytes, declared: str | None, told: Losses) -> str:
    marked = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)
    if marked is not None:
        text = _mostly(data, marked, told, is_certain=True)
        if text is None:
            raise UnreadableError(f"not valid {marked.upper()} in spite of its byte order mark")
        return text
    text = _unmarked_utf16(data)
    if text is not None:
        return text
    named = _python_name(declared) if declared else None
    if declared and named is None and not data.isascii():
        told.add("declaration", declared)
    text = _surely_utf8(data, named)
    if text is None and named is not None:
        text = _mostly(data, named, told)
    if text is None and not _has_escapes(data):
        text = _mostly(data, "utf-8", told)
    return _guessed(data, told) if text is None else text


def declared_in(data: bytes) -> str | None:
    """The encoding in a mode line of Emacs or Vim among the first two lines of a text."""
    match = _MODE_LINE.search(b"\n".join(data[:1000].split(b"\n")[:2]))
    return (match.group(1) or match.group(2)).decode("ascii", "ignore") if match else None


def is_binary(data: bytes) -> bool:
    """Bytes that are no text in any encoding: they hold a zero and are neither UTF-16 nor UTF-32."""
    return b"\0" in data and not data.startswith(BYTE_ORDER_MARKS) and _unmarked_utf16(data) is None


def _python_name(label: str) -> str | None:
    """Python's codec for a label of WHATWG's standard, else for a name that Python knows; None for neither."""
    standard = _standard_name(label)
    if standard is not None:
        return standard
    try:
        b"a".decode(label)
        codec = codecs.lookup(label)
    except (LookupError, ValueError):  # also what is no encoding of text, as "hex"
        return None
    if codec.name in _OF_PROGRAMS:
        return None
    return _standard_name(codec.name) or codec.name


def _standard_name(label: str) -> str | None:
    known = webencodings.lookup(label)
    if known is None or known.name in ("replacement", "x-user-defined"):
        return None
    if known.name.startswith("utf-16"):  # a declaration that could be read as ASCII is not in UTF-16
        return "utf-8"
    return "gb18030" if known.name == "gbk" else str(known.codec_info.name)


def _has_escapes(data: bytes) -> bool:
    """Whether it may be in an encoding that switches between alphabets by escape codes, all of them ASCII."""
    return b"\x1b" in data and data.isascii()


def _surely_utf8(data: bytes, declared: str | None) -> str | None:
    """Text of valid UTF-8; with a multi-byte encoding declared, only if that many characters cannot be chance."""
    if _has_escapes(data) or declared in _WITHIN_ASCII:
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    chance = declared in _MULTIBYTE and len(data) - len(text) < _BEYOND_CHANCE
    return None if chance and not data.isascii() else text


def _mostly(data: bytes, encoding: str, losses: Losses, is_certain: bool = False) -> str | None:
    """Text with U+FFFD for bytes that are no character; None if there is more than one of them to two right ones.

    Args:
        is_certain: characters of ASCII count as right, too.
    """
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode(encoding, "replace")
    except (UnicodeError, ValueError):  # UTF-7 and punycode raise others
        return None
    bad = [match.start() for match in re.finditer("\ufffd", text)]
    right = len(text) - len(bad) if is_certain else len(re.findall(r"[^\x00-\x7f\ufffd]", text))
    if right < 2 * len(bad):
        return None
    for at in bad[:EXAMPLES]:
        losses.add("undecodable", _around(text, at))
    if len(bad) > EXAMPLES:
        losses.add("undecodable", count=len(bad) - EXAMPLES)
    return text


def _around(text: str, at: int) -> str:
    return text[max(at - _CONTEXT, 0) : at + _CONTEXT]


def _guessed(data: bytes, losses: Losses) -> str:
    """The text in the encoding in which it reads best.

    Raises:
        UnreadableError: in none does it read well.
    """
    if data.isascii():  # escape codes
        guess = next((name for name in _ISO_2022 if _is_valid(data, name)), "ascii")
        return data.decode(guess)
    if len(data) < _LEAST:
        raise UnreadableError("it is too short to tell its character encoding; save it as UTF-8")
    best = _best_guess(_sample(data))
    text = _mostly(data, best.encoding, losses) if best.confidence >= CONFIDENCE else None
    if text is None:
        raise UnreadableError(
            f"its character encoding cannot be told: read as {best.encoding}, which fits best, "
            f"{best.confidence:.0%} of the characters beyond ASCII suit a language ({CONFIDENCE:.0%} are needed); "
            "save it as UTF-8"
        )
    return text


def _best_guess(sample: bytes) -> _Guess:
    first = _first_guess(sample)
    confidence = _confidence(sample, first)
    if confidence >= 1 - _PREFERENCE:
        return _Guess(first, confidence)
    others = [_Guess(name, _confidence(sample, name)) for name in _CANDIDATES if name != first]
    best = max(others, key=lambda guess: guess.confidence)  # the earlier one of equals
    return best if best.confidence > confidence + _PREFERENCE else _Guess(first, confidence)


def _first_guess(sample: bytes) -> str:
    """By frequencies of letters: Firefox's detector, or charset-normalizer where that has no build."""
    try:
        from chardetng_py import EncodingDetector
    except ImportError:
        from charset_normalizer import from_bytes

        best = from_bytes(sample).best()
        return best.encoding if best is not None else "cp1252"
    detector = EncodingDetector()
    detector.feed(sample, last=False)
    name = str(detector.guess(tld=None, allow_utf8=False)).lower()
    return codecs.lookup(_PYTHON_NAMES.get(name, name)).name


def _confidence(sample: bytes, encoding: str) -> float:
    """How well the beginning of the sample reads; a character cut at its end does not count."""
    from embed_pipeline.corpus.parsers.alphabets import how_well

    return how_well(codecs.getincrementaldecoder(encoding)("replace").decode(sample)[:_READ])


def _sample(data: bytes) -> bytes:
    """Lines that hold bytes beyond ASCII, up to some thousand bytes."""
    lines: list[bytes] = []
    size = 0
    for match in re.finditer(rb"[^\n]*[\x80-\xff][^\n]*\n?", data):
        lines.append(match.group()[:_SAMPLE])
        size += len(lines[-1])
        if size >= _SAMPLE:
            break
    return b"".join(lines)[:_SAMPLE]


def _is_valid(data: bytes, encoding: str) -> bool:
    try:
        return not data.decode(encoding).isascii()
    except UnicodeError:
        return False


def _unmarked_utf16(data: bytes) -> str | None:
    """Text of UTF-16 without its mark: control characters as bytes, none as text, and it reads well."""
    from embed_pipeline.corpus.parsers.alphabets import how_well

    if not _CONTROL_BYTE.search(data):
        return None
    for encoding in ("utf-16-le", "utf-16-be"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not _CONTROL.search(text) and how_well(text[:_READ]) >= CONFIDENCE:
            return text
    return None
