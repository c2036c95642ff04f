"""How much of a passage the encoder sees: what comes after its longest input is cut off."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from embed_pipeline.batched import batched
from embed_pipeline.corpus.chunking.tokens import read_tokenizer
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.records import passage_text

if TYPE_CHECKING:
    from tokenizers import Encoding

_PASSAGES_AT_ONCE = 256


class Seen(NamedTuple):
    """What the encoder sees of one passage.

    Attributes:
        tokens: of the passage's text, without prompt, title and special tokens.
        seen: how many of them the encoder sees.
        end: characters of the text up to the last token it sees.
    """

    tokens: int
    seen: int
    end: int


def seen_by_encoder(passages: Iterable[tuple[str, str]], spec: EncoderSpec) -> Iterator[Seen]:
    """For each passage, in order; the prompt, the title and special tokens take their room first.

    Args:
        passages: (title, text).

    Raises:
        ModelAccessError: the model folder has no readable tokenizer.json.
    """
    tokenizer, _ = read_tokenizer(spec)
    room = max(0, spec.max_length("passage") - tokenizer.num_special_tokens_to_add(False) * spec.add_special_tokens)
    for part in batched(passages, _PASSAGES_AT_ONCE):
        texts = [spec.prompt("passage") + passage_text(title, text) for title, text in part]
        for encoding, whole, (_, text) in zip(
            tokenizer.encode_batch(texts, add_special_tokens=False), texts, part, strict=True
        ):
            yield _seen(encoding, len(whole) - len(text), len(text), room)


def _seen(encoding: "Encoding", start: int, length: int, room: int) -> Seen:
    """``start``: where the text begins in what was encoded."""
    ends = [end for _, end in encoding.offsets]
    tokens, kept = sum(end > start for end in ends), [end for end in ends[:room] if end > start]
    if len(kept) == tokens:
        return Seen(tokens, tokens, length)
    return Seen(tokens, len(kept), max(kept, default=start) - start)
