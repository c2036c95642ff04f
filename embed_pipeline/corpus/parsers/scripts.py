"""Superscripts and subscripts on the line: powers stay powers, note marks stand apart, nothing glues to a number."""

import re

_MARK = re.compile(r"\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*")
_SIGNED = re.compile(r"[+−–-]\s*\w+|\w+[+−–-]")
_ORDINAL = frozenset(
    {"st", "nd", "rd", "th", "er", "re", "ère", "e", "è", "ème", "eme", "o", "a", "me", "mes", "lle", "mlle"}
)
_TRADE_MARKS = frozenset({"tm", "sm"})
_YEAR = re.compile(r"(?<!\d)(?:1[5-9]|20)\d\d$")
_LAST_WORD = re.compile(r"[^\W\d_]+$")
_UNIT_LETTERS = 3
_UNITS = frozenset(
    {"inch", "inches", "foot", "feet", "yard", "yards", "mile", "miles", "metre", "metres", "meter", "meters"}
)
_ENDS = frozenset(".,;:!?%\"'”’»“…。，、；：！？」』")


def superscript(before: str, raised: str, after: str = "") -> str:
    """What stands on the line for raised text: ``^6`` after a base, `` [3]`` for a note mark, ``th`` for an ordinal.

    Args:
        before: the text of the line up to it, at least the last word.
        raised: the raised text.
        after: the text that follows.
    """
    raised = " ".join(raised.split())
    if not raised or not any(character.isalnum() for character in raised):
        return raised
    if raised[0] in "[(" or raised.startswith("^"):
        return raised
    if before.endswith("^"):
        return _grouped(raised)
    if not before or before[-1].isspace():
        return raised if not before.strip() or after[:1].isalpha() or not _MARK.fullmatch(raised) else f"[{raised}]"
    if raised.lower() in _TRADE_MARKS or (raised.lower() in _ORDINAL and _is_numbered(before, raised)):
        return raised
    if _SIGNED.fullmatch(raised):
        return "^" + raised.replace("−", "-").replace("–", "-").replace(" ", "")
    if after[:1] in ("/", "⁄") and before[-1].isdigit():
        return f" {raised}"
    if _MARK.fullmatch(raised):
        return f"^{raised}" if _has_powers(before) and raised.isdigit() else f" [{raised}]"
    if len(raised) == 1 and raised.isalpha() and _is_word(before):
        return f" [{raised}]"
    return f" {raised}" if _is_word(before) and len(raised) > _UNIT_LETTERS else f"^{_grouped(raised)}"


def subscript(before: str, lowered: str) -> str:
    """Lowered text on the line, as in H2O and x1; a digit is kept apart from a digit, as in 1011_2."""
    lowered = " ".join(lowered.split())
    return f"_{lowered}" if before[-1:].isdigit() and lowered[:1].isdigit() else lowered


def _grouped(text: str) -> str:
    return text if text.isalnum() or text.startswith(("(", "-", "+")) else f"({text})"


def _is_numbered(before: str, raised: str) -> bool:
    """After a number, as in 1st; an abbreviation of several letters after a letter, as in Mme; No."""
    return before[-1].isdigit() or (before[-1].isalpha() and (len(raised) > 1 or before[-1] in "nN"))


def _is_word(before: str) -> bool:
    word = _LAST_WORD.search(before)
    return word is not None and len(word.group()) > _UNIT_LETTERS and word.group().lower() not in _UNITS


def _has_powers(before: str) -> bool:
    """Whether a number raised behind it is a power: after a number that is no year, a unit, a variable, a bracket."""
    if before[-1] in _ENDS or _YEAR.search(before):
        return False
    if before[-1].isalpha() and ord(before[-1]) >= 0x2E80:  # scripts written without spaces
        return False
    return not _is_word(before)
