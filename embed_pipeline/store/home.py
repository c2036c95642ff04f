"""What makes a folder a home: ``home.json``, with the version of its layout.

::

    <home>/home.json     {"kind": "embed_pipeline home", "version": 1, "created": "2026-11-26T21:00:00+00:00"}

It is written when a home is first written to. Homes made before there was one are recognised by their folders and are
marked when they are next written to; their layout is that of version 1.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from embed_pipeline import __version__
from embed_pipeline.errors import HomeError
from embed_pipeline.files import existing_part, now_text, write_json

HOME_FILE = "home.json"
HOME_VERSION = 1
"""Raised when the layout changes so that an older release of this package would misread it."""
_UNMARKED = ("artifacts", "locks")
"""Folders that every home made before there was home.json has, once anything was computed."""


class HomeMark(BaseModel):
    """home.json.

    Attributes:
        version: of the layout of the home.
        created: when it was marked, in UTC.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["embed_pipeline home"] = "embed_pipeline home"
    version: int = Field(ge=1)
    created: str


def require_writable(home: Path) -> None:
    """See that a home, or the folder in which it will be made, can be written.

    Raises:
        HomeError: it cannot; says why and what to do.
    """
    why = why_not_writable(home)
    if why is not None:
        raise HomeError(
            f"{home}: cannot be written ({why}). Choose another --home, mount it to be written, or give yourself the "
            "right; status, show and history only read."
        )


def why_not_writable(home: Path) -> str | None:
    """Why a home, or the folder in which it will be made, cannot be written; None where it can."""
    there = existing_part(home)
    try:
        read_only = bool(os.statvfs(there).f_flag & os.ST_RDONLY)
    except (AttributeError, OSError):  # not everywhere
        read_only = False
    if read_only:
        return "its file system is read-only"
    return None if os.access(there, os.W_OK | os.X_OK) else "permission denied"


def is_home(folder: Path) -> bool:
    """Whether a folder is a home, of whatever version; nothing is written and nothing raised."""
    try:
        _read(folder)
    except FileNotFoundError:
        return all((folder / name).is_dir() for name in _UNMARKED)
    except (OSError, ValueError):
        return False
    return True


def check_home(home: Path) -> HomeMark | None:
    """The mark of a home, None where there is none yet; nothing is written.

    Raises:
        HomeError: a newer release of this package made it, or home.json is damaged.
    """
    path = home / HOME_FILE
    try:
        mark = _read(home)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise HomeError(f"{path}: cannot be read ({error.strerror}). Give yourself the right to read it.") from error
    except ValidationError as error:
        raise HomeError(
            f"{path}: is no mark of a home ({error.errors()[0]['msg']}). If no newer embed_pipeline has worked there, "
            "delete this file: the next run writes it again, and nothing is lost."
        ) from error
    if mark.version > HOME_VERSION:
        raise HomeError(
            f"{home}: this home has layout version {mark.version}, and embed_pipeline {__version__} knows up to "
            f"{HOME_VERSION}. Upgrade embed_pipeline, or choose another --home."
        )
    return mark


def open_home(home: Path) -> HomeMark:
    """Make a folder a home, or see that this release can work with it; a home without a mark is marked.

    Raises:
        HomeError: see :func:`check_home`.
        OSError: it cannot be written.
    """
    mark = check_home(home)
    if mark is None:
        mark = HomeMark(version=HOME_VERSION, created=now_text())
        write_json(home / HOME_FILE, mark.model_dump())
    return mark


def _read(folder: Path) -> HomeMark:
    return HomeMark.model_validate_json((folder / HOME_FILE).read_bytes())
