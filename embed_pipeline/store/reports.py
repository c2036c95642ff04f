"""Where the report of a measurement lies, for whoever shows it by its version; loads nothing but the store.

The asset ``report`` has the whole one; ``metrics`` has one without what is exported and served, which is all there is
of a model that is not deployed. ``reranker_metrics`` has one of its own.
"""

import re
from pathlib import Path

from embed_pipeline.errors import ArtifactError, InputError
from embed_pipeline.store.artifacts import MANIFEST, Artifact, Store
from embed_pipeline.store.names import variant_asset

MEASURED = "metrics"
WHOLE = "report"
RERANKED = "reranker_metrics"
ASSETS = (WHOLE, MEASURED, RERANKED)
REPORT = "report.html"
IN_USE = "current"
_VERSION = re.compile(r"[0-9a-f]{8,64}")


def find_report(store: Store, version: str) -> Path:
    """The report.html of a version of ``report``, ``metrics`` or ``reranker_metrics``, of a variant's too.

    Args:
        version: whole, or its beginning (8 characters or more) as the web UI shows it, or ``current``: of the metrics
            in use. It may come from anybody: nothing outside of these artifacts is ever looked at.

    Raises:
        InputError: it is no version, there is none that begins so, or more than one.
    """
    return _folder(store, version) / "data" / REPORT


def _folder(store: Store, version: str) -> Path:
    if version == IN_USE:
        return _in_use(store).folder
    if not _VERSION.fullmatch(version):
        raise InputError(
            f"a report is named by a version of {', '.join(ASSETS)}: 8 to 64 of the characters 0-9 and a-f."
        )
    assets = [folder for name in ASSETS for folder in (store.root / name, *store.root.glob(variant_asset("*", name)))]
    found = {folder.name: folder for one in sorted(assets) for folder in one.glob(f"{version}*") if _has_report(folder)}
    if not found:
        raise InputError(f"there is no report of version {version}; embed-pipeline gc may have removed it.")
    if len(found) > 1:
        raise InputError(f"more than one version begins with {version}; name more of it.")
    return next(iter(found.values()))


def _in_use(store: Store) -> Artifact:
    measured = store.current(MEASURED)
    if measured is None or not _has_report(measured.folder):
        raise InputError(f"{MEASURED} has not been computed in {store.home}, so there is no report yet.")
    whole = store.current(WHOLE)
    if whole is None or not _has_report(whole.folder):
        return measured
    try:
        same = store.last_made(whole).inputs.get(MEASURED) == measured.version
    except ArtifactError:
        same = False
    return whole if same else measured


def _has_report(folder: Path) -> bool:
    file = folder / "data" / REPORT
    return (folder / MANIFEST).is_file() and file.is_file() and not file.is_symlink()
