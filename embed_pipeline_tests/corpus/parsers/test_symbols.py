import pytest

from embed_pipeline.corpus.parsers.symbols import is_symbol_font, symbols


@pytest.mark.parametrize(
    ("text", "font", "shown"),
    [
        ("abG", "Symbol", "αβΓ"),
        ("\uf0b7 \uf06d", "symbol", "• μ"),
        ("\uf0e0\uf0fc", "Wingdings", "→✓"),
        ("\uf06f", "Wingdings", "☐"),
        ("€", "Symbol", "€"),
        ("\uf07f", "Symbol", "\ufffd"),
    ],
)
def test_symbols_by_what_they_show(text, font, shown):
    assert symbols(text, font) == shown


def test_symbol_fonts():
    assert is_symbol_font("Wingdings 2")
    assert not is_symbol_font("Segoe UI Symbol")
