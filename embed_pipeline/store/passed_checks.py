"""Checks that have passed, by what they looked at: ``<home>/checks/<hash>.json``.

A check that has passed is not asked again about the same content under the same settings; one that has not is asked
again every time.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embed_pipeline import __version__
from embed_pipeline.files import now_text, sha256_json, write_json


class PassedChecks:
    """Of one home."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "checks"

    def has(self, check: str, versions: Mapping[str, str | None], settings: Mapping[str, Any]) -> bool:
        """Whether a check has passed with these versions of its assets, under these settings."""
        return self._file(check, versions, settings).is_file()

    def add(self, check: str, versions: Mapping[str, str | None], settings: Mapping[str, Any], run_id: str) -> None:
        """It has."""
        file = self._file(check, versions, settings)
        if not file.is_file():
            passed = now_text()
            write_json(file, {"check": check, "versions": dict(versions), "run_id": run_id, "passed": passed})

    def _file(self, check: str, versions: Mapping[str, str | None], settings: Mapping[str, Any]) -> Path:
        asked = {"check": check, "versions": versions, "settings": settings, "code": __version__}
        return self.folder / f"{sha256_json(asked)}.json"
