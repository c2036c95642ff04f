"""What stands on a PDF page as an annotation: values of form fields, typed text, comments."""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from embed_pipeline.corpus.parsers.blocks import one_line
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.pdf_page import Piece

_FONT = 12.0
_BELOW = 3.0  # heights of a label within which its field may stand under it
_LAST_CHOICE = 1000.0
_PASSWORD = 1 << 13
_HIDDEN = 1 << 1 | 1 << 5
TICKED, NOT_TICKED = "[x]", "[ ]"


def with_fields(page: Any, form: Any, pieces: Sequence[Piece], losses: Losses) -> list[Piece]:
    """The pieces of a page, with the values of its form fields beside their labels.

    A box comes as ``[x]`` or ``[ ]`` before its label, or after one that stands before it. Passwords are not read.

    Args:
        form: the form environment of an open document, None of one without a form.
    """
    result = list(pieces)
    for piece, is_box, name in _found(page, form, losses):
        label = _label_beside(piece, result, after=is_box)
        leads = is_box and label is not None
        if is_box and label is None:
            label = _label_beside(piece, result, after=False, above=False)
        if label is None:
            text = one_line(f"{piece.text} {name}" if is_box else f"{name}: {piece.text}" if name else piece.text)
            result.append(replace(piece, text=text, stands_alone=True))
            continue
        old = result[label]
        text = f"{piece.text} {old.text}" if leads else f"{old.text} {piece.text}"
        right = old.right if leads else max(old.right, piece.right)
        result[label] = replace(old, text=text, right=right, stands_alone=True)
    return result


def _found(page: Any, form: Any, losses: Losses) -> Iterator[tuple[Piece, bool, str]]:
    """Value, whether it is a box to tick, and what the field's author calls it."""
    import pypdfium2.raw as pdfium

    for index in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        try:
            if pdfium.FPDFAnnot_GetFlags(annotation) & _HIDDEN:
                continue
            kind = pdfium.FPDFAnnot_GetSubtype(annotation)
            if kind == pdfium.FPDF_ANNOT_WIDGET and form is not None:
                yield from _field(form, annotation)
            elif kind == pdfium.FPDF_ANNOT_FREETEXT:
                text = one_line(_string(pdfium.FPDFAnnot_GetStringValue, annotation, b"Contents"))
                if text:
                    yield _piece(annotation, text), False, ""
            elif kind != pdfium.FPDF_ANNOT_POPUP and kind != pdfium.FPDF_ANNOT_LINK:
                note = one_line(_string(pdfium.FPDFAnnot_GetStringValue, annotation, b"Contents"))
                if note:
                    losses.add("comment", note)
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)


def _field(form: Any, annotation: Any) -> Iterator[tuple[Piece, bool, str]]:
    import pypdfium2.raw as pdfium

    kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
    name = one_line(_string(pdfium.FPDFAnnot_GetFormFieldAlternateName, form, annotation))
    if kind in (pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON):
        mark = TICKED if pdfium.FPDFAnnot_IsChecked(form, annotation) else NOT_TICKED
        yield _piece(annotation, mark), True, name
    elif kind in (pdfium.FPDF_FORMFIELD_TEXTFIELD, pdfium.FPDF_FORMFIELD_COMBOBOX, pdfium.FPDF_FORMFIELD_LISTBOX):
        hidden = kind == pdfium.FPDF_FORMFIELD_TEXTFIELD and _is_password(form, annotation)
        value = "" if hidden else one_line(_string(pdfium.FPDFAnnot_GetFormFieldValue, form, annotation))
        if value:
            yield _piece(annotation, value), False, name


def _is_password(form: Any, annotation: Any) -> bool:
    import pypdfium2.raw as pdfium

    return bool(pdfium.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD)


def _string(get: Any, *arguments: Any) -> str:
    """What a getter of PDFium writes into a buffer as UTF-16."""
    import pypdfium2.raw as pdfium

    size = get(*arguments, None, 0)
    if size <= 2:
        return ""
    buffer = ctypes.create_string_buffer(size)
    get(*arguments, ctypes.cast(buffer, ctypes.POINTER(pdfium.FPDF_WCHAR)), size)
    return buffer.raw[: size - 2].decode("utf-16-le", "replace")


def _piece(annotation: Any, text: str) -> Piece:
    import pypdfium2.raw as pdfium

    box = pdfium.FS_RECTF()
    pdfium.FPDFAnnot_GetRect(annotation, ctypes.byref(box))
    height = min(box.top - box.bottom, _FONT)
    middle = (box.top + box.bottom) / 2 if box.top - box.bottom < 3 * _FONT else box.top - _FONT
    return Piece(text, box.left, middle - height / 2, box.right, middle + height / 2)


def _label_beside(field: Piece, pieces: Sequence[Piece], *, after: bool, above: bool = True) -> int | None:
    """Index of the label: on the field's line before it (or after it), else the line above."""
    near: list[tuple[float, int]] = []
    for index, piece in enumerate(pieces):
        if not piece.placed:
            continue
        level = piece.bottom < field.top and piece.top > field.bottom
        distance = piece.left - field.right if after else field.left - piece.right
        overlap = piece.height if after else field.right - field.left + piece.height  # over a line of underscores
        if level and -overlap < distance < 12 * piece.height:
            near.append((abs(distance), index))
        over = 0 <= piece.bottom - field.top + piece.height < _BELOW * piece.height
        if over and above and not level and not after and piece.left < field.right and piece.right > field.left:
            near.append((_LAST_CHOICE + piece.bottom - field.top, index))
    return min(near)[1] if near else None
