"""Characters of symbol fonts (Symbol, Wingdings, Webdings), which hold a picture where Unicode has a letter."""

from functools import cache

_FONTS = {name.lower(): name for name in ("Symbol", "Wingdings", "Wingdings 2", "Wingdings 3", "Webdings")}
_PRIVATE = 0xF000  # where Word keeps the codes of symbol fonts
_PLAIN_ARROWS = dict(zip("🡠🡡🡢🡣🡨🡩🡪🡫🡰🡱🡲🡳🡸🡹🡺🡻", "←↑→↓" * 4, strict=True))
_PLAIN = _PLAIN_ARROWS | dict(zip("🗶🗷🗹🗸◻⧠🞎🞏", "✗☒☑✓☐☐☐☐", strict=True))
"""Rare characters by the common ones that look alike, which a model knows."""


def is_symbol_font(font: str) -> bool:
    """Whether the font's letters are symbols."""
    return font.lower() in _FONTS


def symbols(text: str, font: str) -> str:
    """Text in a symbol font by what it shows; U+FFFD for what no character of Unicode shows."""
    return "".join(" " if character.isspace() else _symbol(character, _FONTS[font.lower()]) for character in text)


def _symbol(character: str, font: str) -> str:
    code = ord(character)
    if code >= _PRIVATE and code < _PRIVATE + 256:
        code -= _PRIVATE
    if code > 255:
        return character
    shown = _table().get((font, code))
    return "\ufffd" if shown is None else _PLAIN.get(chr(shown), chr(shown))


@cache
def _table() -> dict[tuple[str, int], int]:
    from mammoth.docx.dingbats import dingbats

    table: dict[tuple[str, int], int] = dingbats
    return table
