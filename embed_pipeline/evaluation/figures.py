"""Figures and sentences as they are written everywhere."""


def score(value: float) -> str:
    """``0.1234``."""
    return f"{value:.4f}"


def signed(value: float) -> str:
    """``+0.1234``, ``-0.1234`` or ``0.0000``."""
    return f"{value:+.4f}" if round(value, 4) else "0.0000"


def p_value(value: float) -> str:
    """``0.012``, or ``< 0.001``."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def p_in_words(value: float) -> str:
    """``p = 0.012``, or ``p < 0.001``."""
    shown = p_value(value)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"


def capital(text: str) -> str:
    """The text with a capital letter at its beginning, the others as they are."""
    return text[:1].upper() + text[1:]
