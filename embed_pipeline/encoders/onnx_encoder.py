"""The exported graph behind the Encoder protocol: ONNX Runtime and tokenizers, neither torch nor transformers."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from embed_pipeline.encoders.spec import PLURAL, EncoderSpec, Role, Vectors
from embed_pipeline.errors import ArtifactError
from embed_pipeline.progress import task

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
TOKEN_BUDGET = 4096  # tokens of one run of the graph, padding included
CHUNK = 512  # texts tokenized at once

Truncate = Literal["NONE", "START", "END"]


@dataclass(frozen=True)
class Tokens:
    """One text as the model sees it.

    Attributes:
        ids: token ids, prompt and special tokens included, at most the role's maximum unless truncate is NONE.
        full_length: number of ids before truncation.
    """

    ids: tuple[int, ...]
    full_length: int

    @property
    def truncated(self) -> bool:
        """Whether tokens were dropped."""
        return len(self.ids) < self.full_length


class OnnxEncoder:
    """A folder with model.onnx, tokenizer.json and encoder.json; safe to use from several threads."""

    def __init__(
        self,
        spec: EncoderSpec,
        tokenizer: "Tokenizer",
        session: "InferenceSession",
        batch_size: int = 32,
        token_budget: int = TOKEN_BUDGET,
    ) -> None:
        self.spec = spec
        self.batch_size = batch_size
        self.token_budget = token_budget
        self._tokenizer = tokenizer
        self._session = session
        self._pad_id = int(tokenizer.padding["pad_id"]) if tokenizer.padding else 0
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._prefix, self._suffix = _special_tokens(tokenizer) if spec.add_special_tokens else ((), ())
        prompts: tuple[Role, ...] = ("query", "passage")
        self._prompt_ids = {role: self._plain_ids([spec.prompt(role)])[0] for role in prompts}

    @classmethod
    def load(
        cls, folder: Path, threads: int = 0, batch_size: int = 32, token_budget: int = TOKEN_BUDGET
    ) -> "OnnxEncoder":
        """Load an exported model.

        Args:
            folder: holds model.onnx, tokenizer.json, tokenizer_config.json and encoder.json.
            threads: ONNX Runtime threads; 0: all cores.
            batch_size: texts in one run of the graph, at most.
            token_budget: tokens in one run of the graph, padding included, at most (one text always fits).

        Raises:
            ArtifactError: a file is missing or damaged, or the graph does not fit the spec.
        """
        spec = EncoderSpec.load(folder)
        return cls(spec, _load_tokenizer(folder), _load_session(folder, spec, threads), batch_size, token_budget)

    @property
    def vocabulary_size(self) -> int:
        """Token ids lie below it."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        """Vectors [texts, dimensions] in the order of ``texts``; long texts are cut at the end."""
        vectors, _, _ = self.encode_with_usage(texts, role)
        return vectors

    def encode_with_usage(self, texts: Sequence[str], role: Role) -> tuple[Vectors, int, list[bool]]:
        """Vectors, number of tokens encoded, and for each text whether it was cut."""
        vectors = np.zeros((len(texts), self.spec.dimensions[0]), np.float32)
        count, truncated = 0, []
        with task(f"encode {PLURAL[role]}", len(texts)) as running:
            for start in range(0, len(texts), CHUNK):
                tokens = self.tokenize(texts[start : start + CHUNK], role)
                vectors[start : start + CHUNK] = self.embed_tokens([token.ids for token in tokens])
                count += sum(len(token.ids) for token in tokens)
                truncated += [token.truncated for token in tokens]
                running.advance(len(tokens))
        return vectors, count, truncated

    def tokenize(self, texts: Sequence[str], role: Role, truncate: Truncate = "END") -> list[Tokens]:
        """Put the role's prompt before every text, tokenize, truncate, add the special tokens.

        ``truncate`` says which end of a long text is dropped; NONE drops nothing. The prompt is kept.
        """
        prompt = self.spec.prompt(role)
        return [self._frame(ids, role, truncate) for ids in self._plain_ids([prompt + text for text in texts])]

    def tokenize_ids(self, rows: Sequence[Sequence[int]], role: Role, truncate: Truncate = "END") -> list[Tokens]:
        """The same for texts that are token ids already, with or without special tokens, without the prompt."""
        return [self._frame((*self._prompt_ids[role], *self._bare(row)), role, truncate) for row in rows]

    def embed_tokens(self, rows: Sequence[Sequence[int]]) -> Vectors:
        """Vectors [rows, dimensions] of token ids taken as they are (:attr:`Tokens.ids`)."""
        vectors = np.zeros((len(rows), self.spec.dimensions[0]), np.float32)
        for batch in self._batches(rows):
            vectors[batch] = self._run([rows[index] for index in batch])
        return vectors

    def _batches(self, rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Indices in batches, longest first, so that rows of one batch need little padding."""
        batch: list[int] = []
        for index in sorted(range(len(rows)), key=lambda position: -len(rows[position])):
            longest = len(rows[batch[0]]) if batch else 0
            if batch and (len(batch) == self.batch_size or (len(batch) + 1) * longest > self.token_budget):
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    def _run(self, rows: Sequence[Sequence[int]]) -> Vectors:
        length = max(1, *(len(row) for row in rows))
        ids = np.full((len(rows), length), self._pad_id, np.int64)
        mask = np.zeros((len(rows), length), np.int64)
        for place, row in enumerate(rows):
            # A text without any token is one padding token, so that its vector is defined.
            count = max(1, len(row))
            where = slice(length - count, length) if self.spec.padding_side == "left" else slice(0, count)
            ids[place, where] = row if len(row) else self._pad_id
            mask[place, where] = 1
        vectors: Vectors = self._session.run(["embeddings"], {"input_ids": ids, "attention_mask": mask})[0]
        return vectors

    def _plain_ids(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        return [tuple(found.ids) for found in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def _bare(self, row: Sequence[int]) -> tuple[int, ...]:
        """Token ids without the special tokens around them."""
        first, last = len(self._prefix), len(row) - len(self._suffix)
        framed = first <= last and tuple(row[:first]) == self._prefix and tuple(row[last:]) == self._suffix
        return tuple(row[first:last]) if framed else tuple(row)

    def _frame(self, ids: tuple[int, ...], role: Role, truncate: Truncate) -> Tokens:
        extra = len(self._prefix) + len(self._suffix)
        room = max(0, self.spec.max_length(role) - extra)
        kept = ids
        if truncate != "NONE" and len(ids) > room:
            head = room if truncate == "END" else min(room, _shared_start(ids, self._prompt_ids[role]))
            kept = ids[:head] + ids[len(ids) - (room - head) :]
        return Tokens(self._prefix + kept + self._suffix, len(ids) + extra)


def _shared_start(ids: Sequence[int], prompt: Sequence[int]) -> int:
    """How many leading ids are the prompt's."""
    count = 0
    while count < min(len(ids), len(prompt)) and ids[count] == prompt[count]:
        count += 1
    return count


def _special_tokens(tokenizer: "Tokenizer") -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids that the tokenizer puts before and after a text."""
    framed = tokenizer.encode("a", add_special_tokens=True)
    bare = [place for place, special in enumerate(framed.special_tokens_mask) if not special]
    if not bare:
        return tuple(framed.ids), ()
    return tuple(framed.ids[: bare[0]]), tuple(framed.ids[bare[-1] + 1 :])


def _load_tokenizer(folder: Path) -> "Tokenizer":
    from tokenizers import Tokenizer

    path = folder / TOKENIZER_FILE
    try:
        tokenizer = Tokenizer.from_str(path.read_text("utf-8"))
        config = json.loads((folder / TOKENIZER_CONFIG_FILE).read_text("utf-8"))
    except Exception as error:  # tokenizers raises plain Exception for a damaged file
        raise ArtifactError(f"{path}: not a readable tokenizer: {' '.join(str(error).split())[:200]}") from error
    pad = config.get("pad_token")
    pad = pad.get("content") if isinstance(pad, dict) else pad
    pad_id = tokenizer.token_to_id(pad) if pad else None
    if pad_id is not None:
        tokenizer.enable_padding(pad_id=pad_id, pad_token=pad)
    return tokenizer


def _load_session(folder: Path, spec: EncoderSpec, threads: int) -> "InferenceSession":
    import onnxruntime

    path = folder / MODEL_FILE
    if not path.is_file():
        raise ArtifactError(f"{path}: there is no such file, so {folder} is not an exported model.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # an idle server leaves the cores alone
    known = onnxruntime.get_available_providers()
    providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in known]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        names = sorted(node.name for node in session.get_inputs())
        outputs = {node.name: node.shape for node in session.get_outputs()}
    except Exception as error:  # onnxruntime's own exceptions share no public base
        raise ArtifactError(f"{path}: cannot be loaded: {' '.join(str(error).split())[:300]}") from error
    if names != ["attention_mask", "input_ids"] or "embeddings" not in outputs:
        raise ArtifactError(f"{path}: expects {names} and gives {sorted(outputs)}; export the checkpoint again.")
    if outputs["embeddings"][-1] not in (spec.dimensions[0], None) and isinstance(outputs["embeddings"][-1], int):
        raise ArtifactError(
            f"{path}: gives {outputs['embeddings'][-1]} dimensions, but {folder / 'encoder.json'} says "
            f"{spec.dimensions[0]}; export the checkpoint again."
        )
    return session
