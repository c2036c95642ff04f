"""What of a file is not in its text, or stands there otherwise: told with the document, never silently lost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

EXAMPLES = 3
EXAMPLE_CHARS = 200

DROPPED = {
    "furniture": "headers, footers and page numbers that stand on most pages; line numbers beside code",
    "navigation": "menus, headers and footers around the content of a page",
    "hidden": "parts that a reader cannot bring to light",
    "control": "buttons, fields and lists of choices",
    "code": "scripts and styles of a page",
    "comment": "comments of the source",
    "front matter": "sentences among the values at the head of a file, which a page does not show",
    "note mark": "marks that point to a note",
    "deleted": "text that tracked changes delete",
    "repeated": "what the file holds twice, as a formula in two notations or text that was moved",
    "picture": "pictures and other embedded objects, without their alternative text",
    "empty page": "pages that hold no text, as scanned ones",
    "ruling": "lines drawn with characters",
    "unsure": "what text recognition saw in a picture without being sure",
    "unresolved": "references, directives and fields whose target the file does not hold",
    "metadata": "of what is told of the document: what is no date or address, or too long, or too many",
}
"""Kinds of what is left out, with what they mean."""
NOT_MISSED = frozenset({"code", "comment", "repeated"})
"""Kinds that a reader of the file does not see, or finds in the text all the same."""
REPLACED = {
    "undecodable": "bytes that are no character in the encoding of the file; each stands as U+FFFD or is left out",
    "control character": "characters of old terminals (U+0080 to U+009F) that show nothing; they are left out",
    "declaration": "encodings that a file names and nobody knows; another one was found",
    "hyphenation": "hyphens at line ends that joined a word",
    "recognised": "pages whose text was read from a picture of it (corpus.ocr)",
}
"""Kinds of what stands otherwise than in the file."""


@dataclass(frozen=True)
class Loss:
    """What of one kind a file lost.

    Attributes:
        kind: of :data:`DROPPED` or :data:`REPLACED`.
        count: how many pieces: lines, nodes, pages, bytes.
        characters: that are in the file and not in the text, white space not counted.
        examples: the first of them, at most 3, cut at 200 characters.
    """

    kind: str
    count: int
    characters: int
    examples: tuple[str, ...] = ()


@dataclass
class _Tally:
    count: int = 0
    characters: int = 0
    examples: list[str] = field(default_factory=list)


def joined(parts: Iterable[Sequence[Loss]]) -> tuple[Loss, ...]:
    """What several parts of a document lost, as one."""
    tallies: dict[str, _Tally] = {}
    for loss in (loss for part in parts for loss in part):
        tally = tallies.setdefault(loss.kind, _Tally())
        tally.count += loss.count
        tally.characters += loss.characters
        tally.examples += [one for one in loss.examples if one not in tally.examples]
    return tuple(Loss(kind, one.count, one.characters, tuple(one.examples[:EXAMPLES])) for kind, one in tallies.items())


class Losses:
    """Counts while a file is parsed."""

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = {}

    def add(self, kind: str, text: str = "", count: int = 1, characters: int | None = None) -> None:
        """Text that is left out or replaced; its characters count where the kind is of :data:`DROPPED`.

        Args:
            count: pieces; what has no text, as a page without any, counts alone.
            characters: that are left out, where ``text`` only names them, as the number of a page without text does.
        """
        assert kind in DROPPED or kind in REPLACED, kind
        tally = self._tallies.setdefault(kind, _Tally())
        shown = " ".join(text.split())
        tally.count += count
        if kind in DROPPED:
            tally.characters += len(shown) - shown.count(" ") if characters is None else characters
        if shown and len(tally.examples) < EXAMPLES and shown[:EXAMPLE_CHARS] not in tally.examples:
            tally.examples.append(shown[:EXAMPLE_CHARS])

    def take(self, losses: Iterable[Loss]) -> None:
        """What a document within this one lost."""
        for loss in losses:
            tally = self._tallies.setdefault(loss.kind, _Tally())
            tally.count += loss.count
            tally.characters += loss.characters
            tally.examples = [*tally.examples, *loss.examples][:EXAMPLES]

    def told(self) -> tuple[Loss, ...]:
        """Kind by kind, in the order they were first met."""
        return tuple(
            Loss(kind, tally.count, tally.characters, tuple(tally.examples)) for kind, tally in self._tallies.items()
        )
