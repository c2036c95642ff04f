"""What stands for a picture in the text."""

import re

_FILE_NAME = re.compile(r"^\S*\.(?:png|jpe?g|gif|svg|webp|bmp|tiff?|emf|wmf)$", re.IGNORECASE)
_EMPTY = frozenset({"image", "picture", "photo", "icon", "logo", "img"})
_BY_MACHINE = "automatically generated"


def alternative_text(description: str) -> str:
    """The alternative text of a picture; nothing where it is a file's name, a mere label, or written by Word itself."""
    text = " ".join(description.split())
    if _FILE_NAME.match(text) or text.lower() in _EMPTY or _BY_MACHINE in text:
        return ""
    return text
