"""Plain text, and the decoding every text format shares."""

import codecs

from embed_pipeline.corpus.parsers.blocks import Block, Extracted, UnreadableError

_MARKS = (  # UTF-32 before UTF-16: the little-endian marks start alike
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAX_MESS = 0.1  # charset-normalizer's share of implausible characters
_SAMPLE = 200_000


def decode(data: bytes, declared: str | None = None) -> str:
    """Bytes to text: byte order mark, UTF-8, the declared encoding, then a confident guess.

    Raises:
        UnreadableError: none of them fits.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decode_as(data, encoding)
    for candidate in filter(None, ("utf-8", declared)):
        try:
            return data.decode(candidate)
        except (UnicodeDecodeError, LookupError):
            continue
    return _guess(data)


def _decode_as(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not valid {encoding.upper()} in spite of its byte order mark") from error


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_SAMPLE]).best()
    if best is None or best.chaos > _MAX_MESS:
        raise UnreadableError("its character encoding cannot be told; save it as UTF-8")
    try:
        return data.decode(best.encoding)
    except UnicodeDecodeError as error:
        raise UnreadableError("its character encoding cannot be told; save it as UTF-8") from error


def parse_text(data: bytes) -> Extracted:
    """The text as it stands; plain text has no headings."""
    return Extracted([Block(decode(data))])
