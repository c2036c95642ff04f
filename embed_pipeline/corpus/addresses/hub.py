"""``hf://owner/name[@revision][/folder]``: a data set repository of the Hugging Face Hub, by huggingface_hub.

A revision is resolved to its commit once, and everything is read from that commit. Files are told apart by what git or
LFS says of their content, so another commit costs the files that it changes. ``HF_ENDPOINT`` names another hub,
``HF_TOKEN`` who asks; no other token is used.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from embed_pipeline.corpus.addresses.listing import Check, Entry, Listing, usable
from embed_pipeline.corpus.addresses.refusals import telling
from embed_pipeline.errors import EmbedPipelineError, InputError, SettingsError
from embed_pipeline.text.addresses import Address

_DATASETS, _OTHERS = "datasets", ("models", "spaces", "buckets", "kernels")
_REFS = re.compile(r"(refs/(?:convert|pr)/[^/]+)(?:/(.*))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_UNAUTHORIZED, _NO_SUCH = 401, 404
_REFUSED = (401, 403)


class Repository(NamedTuple):
    """What an address names.

    Attributes:
        name: ``owner/name``.
        revision: None: the main one.
        folder: in it, or a file; empty: all of it.
    """

    name: str
    revision: str | None
    folder: str

    @property
    def is_commit(self) -> bool:
        """Whether the revision can never mean anything else."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None


def repository(address: Address) -> Repository:
    """The repository of an address.

    Raises:
        SettingsError: it names none, or one that is no data set.
    """
    rest = address.target.partition("://")[2].strip("/")
    kind, _, behind = rest.partition("/")
    if kind in _OTHERS:
        raise SettingsError(f"{address.target}: only data sets of the hub are read, as hf://owner/name.")
    rest = behind if kind == _DATASETS else rest
    named, at, behind = rest.partition("@")
    owner, _, name = named.partition("/")
    name, _, folder = name.partition("/")
    revision: str | None = None
    if at and not folder:
        refs = _REFS.fullmatch(behind)
        revision, folder = (refs[1], refs[2] or "") if refs else (behind.partition("/")[0], behind.partition("/")[2])
    elif at:
        name = ""  # "@" stands behind the name alone
    if not owner or not name or (at and not revision):
        raise SettingsError(f"{address.target}: must be hf://owner/name[@revision][/folder].")
    return Repository(f"{owner}/{name}", unquote(revision) if revision else None, folder)


class HubFolder:
    """The files of a repository, or of a folder of it."""

    def __init__(self, address: Address) -> None:
        self._address, self._asked = address.target, repository(address)

    def listing(self) -> Listing:
        """Every file at the commit that the revision means now.

        Raises:
            InputError: repository, revision or folder are not there, access is refused, or there is no network.
        """
        with self._telling():
            api = _api()
            commit = str(api.repo_info(self._asked.name, revision=self._asked.revision, repo_type="dataset").sha)
            folder, lone = self._asked.folder, False
            if folder:
                found = api.get_paths_info(self._asked.name, [folder], revision=commit, repo_type="dataset")
                if not found:
                    raise InputError(f"{self._address}: the repository holds no {folder} at this revision.")
                lone = hasattr(found[0], "blob_id")
            if not lone:
                found = api.list_repo_tree(
                    self._asked.name, folder or None, recursive=True, revision=commit, repo_type="dataset"
                )
            entries = list(_entries(found, folder.rpartition("/")[0] if lone else folder, commit))
        if not entries:
            raise InputError(f"{self._address}: the repository holds no file. Correct corpus.path.")
        return Listing(usable(entries), lone, commit, self._asked.is_commit)

    def fetch(self, entry: Entry, part: Path, check: Check) -> None:
        """See :class:`~embed_pipeline.corpus.addresses.listing.Backend`; a rest is kept beside ``part``."""
        from huggingface_hub import hf_hub_download

        beside = part.with_suffix(".hub")
        commit, _, name = entry.place.partition("/")
        with self._telling():
            found = hf_hub_download(
                self._asked.name,
                name,
                repo_type="dataset",
                revision=commit,
                local_dir=beside,
                token=_token(),
                endpoint=os.environ.get("HF_ENDPOINT") or None,
                tqdm_class=_checking(check),
            )
            Path(found).replace(part)
        _remove(beside)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            with telling(self._address):
                yield
        except InputError as error:
            told = self._told(error.__cause__)
            if told is None:
                raise
            raise InputError(f"{self._address}: {told}") from error.__cause__

    def _told(self, error: BaseException | None) -> str | None:
        """What an error of the hub means; None for one that every address may have."""
        if error is None or isinstance(error, EmbedPipelineError):
            return None
        kinds = {kind.__name__ for kind in type(error).__mro__}
        code = getattr(getattr(error, "response", None), "status_code", None)
        name, setting = self._asked.name, "set HF_TOKEN to a token of somebody who may read it"
        if "OfflineModeIsEnabled" in kinds:
            return (
                "the hub cannot be asked while HF_HUB_OFFLINE is set. Unset it, or set corpus.path to a folder with "
                "the files."
            )
        if "GatedRepoError" in kinds:
            return f"{name} is gated. Ask for access on its page, then {setting}."
        if "RevisionNotFoundError" in kinds:
            return f"{name} has no revision {self._asked.revision}. Name a branch, a tag or a commit of it."
        if "RepositoryNotFoundError" in kinds and code != _UNAUTHORIZED:
            return f"the hub has no data set {name}, or it is private: correct corpus.path, or {setting}."
        if code == _UNAUTHORIZED and _token():
            return f"the hub refuses the token in HF_TOKEN ({code}): it is wrong, or may not read {name}."
        if code in _REFUSED:
            return f"{name} is private, or not there ({code}): {setting}, or correct corpus.path."
        if "EntryNotFoundError" in kinds or code == _NO_SUCH:
            return "the repository no longer holds a file that was listed. Run again."
        if kinds & {"TransportError", "ConnectionError", "LocalEntryNotFoundError", "TimeoutException"}:
            return (
                "the hub cannot be reached. Check the network and run again (what was fetched is kept), or set "
                "corpus.path to a folder with the files."
            )
        return None


def _entries(found: Iterable[Any], folder: str, commit: str) -> Iterator[Entry]:
    for one in found:
        if not hasattr(one, "blob_id"):
            continue  # a folder
        version = one.lfs.sha256 if one.lfs is not None else one.blob_id
        yield Entry(one.path.removeprefix(folder).lstrip("/"), one.size, version, f"{commit}/{one.path}")


def _api() -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=_token())


def _token() -> str | bool:
    return os.environ.get("HF_TOKEN") or False


def _checking(check: Check) -> Any:
    """A bar that shows nothing and may end the download between two pieces."""
    from tqdm import tqdm

    class Checking(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **named: Any) -> None:
            named.pop("name", None)
            super().__init__(*arguments, **{**named, "disable": True})

        def update(self, n: float | None = 1) -> Any:
            check()
            return super().update(n)

    return Checking


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
