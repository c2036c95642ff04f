"""Where the report of a measurement lies, for whoever shows it by its version; loads nothing but the store."""

import re
from pathlib import Path

from embed_pipeline.errors import InputError
from embed_pipeline.store.artifacts import MANIFEST, Store
from embed_pipeline.store.names import variant_asset

ASSET = "metrics"
REPORT = "report.html"
IN_USE = "current"
_VERSION = re.compile(r"[0-9a-f]{8,64}")


def find_report(store: Store, version: str) -> Path:
    """The report.html of a version of ``metrics``, of a variant's too.

    Args:
        version: whole, or its beginning (8 characters or more) as the web UI shows it, or ``current``. It may come
            from anybody: nothing outside of the artifacts of ``metrics`` is ever looked at.

    Raises:
        InputError: it is no version, there is none that begins so, or more than one.
    """
    return _folder(store, version) / "data" / REPORT


def _folder(store: Store, version: str) -> Path:
    if version == IN_USE:
        artifact = store.current(ASSET)
        if artifact is None or not _has_report(artifact.folder):
            raise InputError(f"{ASSET} has not been computed in {store.home}, so there is no report yet.")
        return artifact.folder
    if not _VERSION.fullmatch(version):
        raise InputError("a report is named by the version of metrics, 8 to 64 of the characters 0-9 and a-f.")
    assets = [store.root / ASSET, *sorted(store.root.glob(variant_asset("*", ASSET)))]
    found = {folder.name: folder for one in assets for folder in one.glob(f"{version}*") if _has_report(folder)}
    if not found:
        raise InputError(f"there is no report of version {version} of {ASSET}; embed-pipeline gc may have removed it.")
    if len(found) > 1:
        raise InputError(f"more than one version of {ASSET} begins with {version}; name more of it.")
    return next(iter(found.values()))


def _has_report(folder: Path) -> bool:
    file = folder / "data" / REPORT
    return (folder / MANIFEST).is_file() and file.is_file() and not file.is_symlink()
