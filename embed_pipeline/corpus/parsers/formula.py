"""Formulas on one line: MathML and the mathematics of Office, as a person would type them."""

import re
from collections.abc import Sequence
from typing import Any

_STYLE = re.compile(r"^\{\s*\\(?:display|text|script|scriptscript)style\b\s*(.*?)\s*\}$")
_INVISIBLE = re.compile("[\u2061-\u2064\u200b]")
_NOTHING = frozenset({"annotation", "annotation-xml", "mphantom", "mspace", "maligngroup", "malignmark", "none"})
_ATOM = re.compile(r"\d[\d.,]*|[^\W\d_]+'*|\W")
_WORDS_MEET = re.compile(r"[^\W\d_]{2}\0\w|\w\0[^\W\d_]{2}|\d\0\d")
_VALUE = "{http://schemas.openxmlformats.org/officeDocument/2006/math}val"


def plain_tex(source: str) -> str:
    """TeX without the style that wraps it."""
    source = " ".join(source.split())
    styled = _STYLE.match(source)
    return styled.group(1) if styled and _is_balanced(styled.group(1)) else source


def _is_balanced(source: str) -> bool:
    depth = 0
    for character in source:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0


def linear(element: Any) -> str:
    """A formula's text: ``E=mc^2``, ``(a+b)/c``, ``x_1``, ``√(2)``.

    Args:
        element: MathML or Office Math, or a part of it.
    """
    return " ".join(_text(element).split())


def _name(element: Any) -> str:
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def _parts(element: Any) -> list[Any]:
    """Children that are read; the properties of Office Math are not."""
    return [child for child in element if _name(child) and not _name(child).endswith("pr")]


def _text(element: Any) -> str:
    name = _name(element)
    if not name or name in _NOTHING:
        return ""
    parts = _parts(element)
    text = _mathml(name, element, parts)
    text = _office(name, element, parts) if text is None else text
    return (element.text or "").strip() * (not parts) + _joined(parts) if text is None else text


def _mathml(name: str, element: Any, parts: Sequence[Any]) -> str | None:
    """Text of an element of MathML; None if it only holds others."""
    match name:
        case "mi" | "mn" | "mo" | "mtext" | "ms":
            return _INVISIBLE.sub("", "".join(element.itertext()).strip())
        case "semantics":
            return _text(parts[0]) if parts else ""
        case "msup" | "msub" | "msubsup" | "mover" | "munder" | "munderover" if parts:
            return _scripts(name, parts)
        case "msqrt":
            return f"√({_joined(parts)})"
        case "mroot" if len(parts) == 2:
            return f"√[{_text(parts[1])}]({_text(parts[0])})"
        case "mfenced":
            inner = ",".join(map(_text, parts))
            return f"{element.get('open', '(')}{inner}{element.get('close', ')')}"
        case "mfrac" | "f" if len(parts) == 2:
            return f"{_grouped(parts[0])}/{_grouped(parts[1])}"
        case "mtable" | "m" | "eqarr":
            return "; ".join(map(_text, parts))
        case "mtr" | "mlabeledtr" | "mr":
            return ", ".join(map(_text, parts))
    return None


def _office(name: str, element: Any, parts: Sequence[Any]) -> str | None:
    """Text of an element of Office Math; None if it only holds others."""
    match name:
        case "t":
            return element.text or ""
        case "ssup" | "ssub" | "ssubsup" | "limlow" | "limupp" | "spre" | "nary" | "acc":
            return _office_scripts(element)
        case "rad":
            degree = _child(element, "deg")
            return f"√[{degree}]({_child(element, 'e')})" if degree else f"√({_child(element, 'e')})"
        case "d":
            inner = _property(element, "sepchr", "|").join(map(_text, parts))
            return f"{_property(element, 'begchr', '(')}{inner}{_property(element, 'endchr', ')')}"
        case "func":
            return f"{_child(element, 'fname')}({_child(element, 'e')})"
    return None


def _scripts(name: str, parts: Sequence[Any]) -> str:
    base = _text(parts[0])
    below = name in ("msub", "munder", "msubsup", "munderover")
    texts = [_grouped(part) for part in parts[1:]]
    marks = "_^" if below else "^"
    return base + "".join(mark + text for mark, text in zip(marks, texts, strict=False) if text)


def _office_scripts(element: Any) -> str:
    """Scripts, limits, accents and large operators of Office Math, each of which names its parts."""
    symbol = {"nary": "∫", "acc": "\u0302"}.get(_name(element))
    below = _group(_child(element, "sub") or _child(element, "lim") * (_name(element) == "limlow"))
    above = _group(_child(element, "sup") or _child(element, "lim") * (_name(element) == "limupp"))
    marks = ("_" + below if below else "") + ("^" + above if above else "")
    body = _child(element, "e")
    if symbol is None:
        return marks + body if _name(element) == "spre" else body + marks
    symbol = _property(element, "chr", symbol)
    return body + symbol if _name(element) == "acc" else f"{symbol}{marks} {body}"


def _child(element: Any, name: str) -> str:
    return "".join(_text(child) for child in element if _name(child) == name)


def _property(element: Any, name: str, default: str) -> str:
    for child in element.iter():
        if _name(child) == name and child.getparent().getparent() is element:
            value: str = child.get(_VALUE, "")
            return value
    return default


def _grouped(part: Any) -> str:
    return _group(_text(part))


def _group(text: str) -> str:
    """In brackets unless it is a single number, name or sign."""
    return text if not text or _ATOM.fullmatch(text) or re.fullmatch(r"[-−+]\d+", text) else f"({text})"


def _joined(parts: Sequence[Any]) -> str:
    """One after the other, a space beside a word of several letters and between two numbers."""
    joined = ""
    for text in filter(None, map(_text, parts)):
        joined += f" {text}" if _WORDS_MEET.search(f"{joined[-2:]}\0{text[:2]}") else text
    return joined
