"""The model being served, and changing it without dropping a request."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embed_pipeline.encoders.onnx_encoder import OnnxEncoder
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.errors import ArtifactError, EmbedPipelineError, SettingsError
from embed_pipeline.serving.batching import Batcher
from embed_pipeline.serving.errors import not_ready
from embed_pipeline.store.releases import Release

POINTER_FILE = "current.json"
POLL_SECONDS = 0.5
DRAIN_SECONDS = 0.05

logger = logging.getLogger("embed_pipeline.serving")


@dataclass
class Session:
    """A loaded release. ``users`` counts the requests that still need it."""

    release: Release
    encoder: OnnxEncoder
    batcher: Batcher
    users: int = 0

    @property
    def spec(self) -> EncoderSpec:
        """How texts become vectors."""
        return self.encoder.spec


def load_session(release: Release, folder: Path, threads: int = 0) -> Session:
    """Load a release and let it encode one text.

    Raises:
        ArtifactError: the folder is incomplete or damaged, or the model gives no finite vector.
    """
    encoder = OnnxEncoder.load(folder, threads)
    try:
        vector = encoder.encode(["ready"], "query")
    except Exception as error:  # onnxruntime's exceptions share no public base
        raise ArtifactError(f"{folder}: the model does not run: {' '.join(str(error).split())[:200]}") from error
    if vector.shape != (1, encoder.spec.dimensions[0]) or not np.isfinite(vector).all():
        raise ArtifactError(f"{folder}: the model gives no finite vector of {encoder.spec.dimensions[0]} numbers.")
    return Session(release, encoder, Batcher(encoder))


class ModelSource:
    """Serves one model folder for good, or whatever ``deployments/current.json`` names at the moment.

    A new release is loaded beside the old one and takes over between two requests; requests under way finish
    on the old one. A release that cannot be loaded leaves the old one in place, with the reason in
    :attr:`last_error`.
    """

    def __init__(
        self,
        model: Path | None = None,
        deployments: Path | None = None,
        model_name: str = "embed-pipeline",
        threads: int = 0,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        if (model is None) == (deployments is None):
            raise SettingsError("serve needs either a model folder or a deployments folder, and not both.")
        self.current: Session | None = None
        self.last_error: str | None = None
        self._model = model
        self._deployments = deployments
        self._model_name = model_name
        self._threads = threads
        self._poll_seconds = poll_seconds
        self._seen: bytes | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    @contextmanager
    def using(self) -> Iterator[Session]:
        """The current session, kept open while the block runs.

        Raises:
            ApiError: 503, nothing is loaded yet.
        """
        session = self.current
        if session is None:
            raise not_ready()
        session.users += 1
        try:
            yield session
        finally:
            session.users -= 1

    def load_fixed(self) -> None:
        """Load the model folder now, if this source has one.

        Raises:
            ArtifactError: it cannot be served.
        """
        if self._model is not None and self.current is None:
            spec = EncoderSpec.load(self._model)
            version = spec.version()
            release = Release(
                release_id=version[:12], model_version=version, path=str(self._model), model_name=self._model_name
            )
            self.current = load_session(release, self._model, self._threads)

    async def watch(self) -> None:
        """Follow the pointer until cancelled; with a fixed model, load it and return."""
        if self._deployments is None:
            try:
                await asyncio.to_thread(self.load_fixed)
            except EmbedPipelineError as error:
                self._refuse(str(error))
            return
        while True:
            await self._look(self._deployments)
            await asyncio.sleep(self._poll_seconds)

    async def close(self) -> None:
        """Free the sessions; call it when no request is under way."""
        for task in self._retiring:
            task.cancel()
        if self.current is not None:
            self.current.batcher.close()

    async def _look(self, deployments: Path) -> None:
        """Load the release that the pointer names, unless that was tried already."""
        try:
            content = await asyncio.to_thread((deployments / POINTER_FILE).read_bytes)
        except OSError:
            return  # nothing deployed yet, or the pointer is being replaced
        if content == self._seen:
            return
        self._seen = content
        try:
            release = Release.model_validate_json(content)
            folder = deployments.resolve().parent / release.path
            session = await asyncio.to_thread(load_session, release, folder, self._threads)
        except ValueError as error:
            self._refuse(f"{POINTER_FILE} is not a readable release: {' '.join(str(error).split())[:200]}")
        except Exception as error:  # whatever a release does, the old one goes on and the next one has its chance
            self._refuse(f"release {release.release_id} was refused: {error}")
        else:
            self._switch(session)

    def _switch(self, session: Session) -> None:
        old, self.current, self.last_error = self.current, session, None
        logger.info("serving release %s as %s", session.release.release_id, session.release.model_name)
        if old is not None:
            task = asyncio.create_task(_retire(old))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    def _refuse(self, reason: str) -> None:
        self.last_error = reason
        logger.error("%s", reason)


async def _retire(session: Session) -> None:
    """Close a session after its last request."""
    while session.users:
        await asyncio.sleep(DRAIN_SECONDS)
    session.batcher.close()
