"""The settings file of a web UI, looked at again and again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import Settings
from embed_pipeline.settings.dotted import flat
from embed_pipeline.settings.sources import load_settings, may_hold_a_secret

NAME = "pipeline.yaml"
SHOWN = 80
"""Characters of a value that a change shows."""

Signature = tuple[int, int, int] | None


@dataclass(frozen=True)
class SettingsSource:
    """What a command reads its settings from.

    Attributes:
        file: named with --config; None: ./pipeline.yaml while there is one.
        folder: the working folder of the command.
    """

    file: Path | None
    folder: Path
    profile: str | None
    overrides: tuple[str, ...]

    @property
    def watched(self) -> Path:
        """The file that counts, whether it is there or not."""
        return self.file or self.folder / NAME

    def read(self) -> Settings:
        """The settings as they are now.

        Raises:
            SettingsError: they cannot be read.
        """
        if self.watched.exists() and not self.watched.is_file():  # reading a pipe would wait for ever
            raise SettingsError(
                f"{self.watched}: is no regular file, so it cannot be watched. Put the settings into a file."
            )
        file = self.watched if self.file is not None or self.watched.is_file() else None
        return load_settings(file, self.profile, self.overrides)


class SettingsWatch:
    """Tells when the file has changed and has then stayed the same for one look: editors write in several steps."""

    def __init__(self, source: SettingsSource) -> None:
        self.source = source
        self._used = self._seen = _signature(source.watched)

    def has_changed(self) -> bool:
        """Whether it is worth reading again; true once for each change."""
        now = _signature(self.source.watched)
        rests, self._seen = now == self._seen, now
        if now == self._used or not rests:
            return False
        self._used = now
        return True


def differences(before: Settings, after: Settings) -> list[str]:
    """``section.key: old -> new`` of every setting that differs; an address is not shown, it may hold a key."""
    old, new = flat(before.model_dump(mode="json")), flat(after.model_dump(mode="json"))
    return [
        name if may_hold_a_secret(name) else f"{name}: {_shown(old.get(name))} -> {_shown(new.get(name))}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def summary(changes: Sequence[str]) -> str:
    """The first few of them, for one line."""
    more = f" and {len(changes) - 8} more" if len(changes) > 8 else ""
    return "; ".join(changes[:8]) + more


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _signature(path: Path) -> Signature:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
