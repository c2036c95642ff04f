"""The access file: who may open the web UI, as viewer or operator, with what password or token.

::

    {"users": {"anna": {"role": "operator", "password": scrypt$n$r$p$salt$hash},
               "ci":   {"role": "viewer",   "token": SHA-256 of the token}}}

Passwords are kept as scrypt (RFC 7914) with a salt each, with the parameters that OWASP names; tokens are random and
long, so that a plain hash is enough. Only the owner may read the file.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from embed_pipeline.errors import SettingsError
from embed_pipeline.files import write_json

Role = Literal["viewer", "operator"]
ROLES: tuple[str, ...] = get_args(Role)
COST, BLOCK, PARALLEL = 2**14, 8, 5
SHORTEST_PASSWORD = 10
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True)
class User:
    """Somebody who was let in.

    Attributes:
        proof: of the password or token in force; a session made with another one has ended.
    """

    name: str
    role: str
    proof: str

    @property
    def may_run(self) -> bool:
        """Whether this user may change anything."""
        return self.role == "operator"


class Accounts:
    """The users of an access file.

    Raises:
        SettingsError: the file is missing, cannot be read by us, can be read by others, or is no access file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._users = _read(path)
        self._nobody = hash_password(secrets.token_hex())

    @property
    def names(self) -> list[str]:
        """Sorted."""
        return sorted(self._users)

    def user(self, name: str) -> User | None:
        """The user of that name."""
        entry = self._users.get(name)
        return None if entry is None else User(name, entry["role"], entry.get("password") or entry["token"])

    def with_password(self, name: str, password: str) -> User | None:
        """The user, if the password is right; as slow for a name that is not there."""
        kept = self._users.get(name, {}).get("password")
        right = _matches(password, kept or self._nobody)
        return self.user(name) if right and kept else None

    def with_token(self, token: str) -> User | None:
        """The user whose token this is."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        for name, entry in self._users.items():
            if hmac.compare_digest(entry.get("token", ""), digest):
                return self.user(name)
        return None


def add_user(path: Path, name: str, role: str, password: str | None) -> str | None:
    """Add a user to an access file, or give an existing one another role and password.

    Args:
        password: None: a token instead.

    Returns:
        The token, which is nowhere kept.

    Raises:
        SettingsError: the name, role or password is no good, or the file cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{name!r} is no user name: letters, digits and . _ @ -, at most 64.")
    if role not in ROLES:
        raise SettingsError(f"--role {role}: there are {' and '.join(ROLES)}.")
    if password is not None and len(password) < SHORTEST_PASSWORD:
        raise SettingsError(
            f"the password of {name} has fewer than {SHORTEST_PASSWORD} characters; choose a longer one."
        )
    users = _read(path) if path.exists() else {}
    if password is not None:
        users[name] = {"role": role, "password": hash_password(password)}
        token = None
    else:
        token = secrets.token_urlsafe(32)
        users[name] = {"role": role, "token": hashlib.sha256(token.encode()).hexdigest()}
    _write(path, users)
    return token


def remove_user(path: Path, name: str) -> None:
    """Remove a user; sessions end at once.

    Raises:
        SettingsError: there is no such user, or the file cannot be used.
    """
    users = _read(path)
    if name not in users:
        raise SettingsError(f"{path}: there is no user {name}; there are: {', '.join(sorted(users)) or 'none'}.")
    del users[name]
    _write(path, users)


def hash_password(password: str) -> str:
    """``scrypt$n$r$p$salt$hash``, with a salt of its own."""
    salt = secrets.token_bytes(16)
    return f"scrypt${COST}${BLOCK}${PARALLEL}${salt.hex()}${_scrypt(password, salt, COST, BLOCK, PARALLEL).hex()}"


def _matches(password: str, kept: str) -> bool:
    _, cost, block, parallel, salt, digest = kept.split("$")
    found = _scrypt(password, bytes.fromhex(salt), int(cost), int(block), int(parallel))
    return hmac.compare_digest(found, bytes.fromhex(digest))


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    most = 2 * 128 * block * (cost + parallel)
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"), salt=salt, n=cost, r=block, p=parallel, maxmem=most, dklen=32
    )


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        status = path.stat()
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise SettingsError(f"{path}: others may read or write this access file; chmod 600 {path}")
        users = json.loads(path.read_text("utf-8"))["users"]
        for name, entry in users.items():
            _check(name, entry)
    except FileNotFoundError:
        raise SettingsError(
            f"{path}: there is no such access file; embed-pipeline access add NAME --role operator makes one."
        ) from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{path}: is no access file ({error}); delete it and make one with embed-pipeline access add."
        ) from None
    return dict(users)


def _check(name: str, entry: dict[str, Any]) -> None:
    if entry["role"] not in ROLES:
        raise ValueError(f"{name} has the role {entry['role']!r}")
    if "token" in entry:
        bytes.fromhex(entry["token"])
        return
    kind, cost, block, parallel, salt, digest = entry["password"].split("$")
    if kind != "scrypt" or not int(cost) or not int(block) or not int(parallel):
        raise ValueError(f"the password of {name} is not scrypt")
    bytes.fromhex(salt + digest)


def _write(path: Path, users: dict[str, dict[str, Any]]) -> None:
    before = os.umask(0o077)
    try:
        write_json(path, {"users": users})
    finally:
        os.umask(before)
