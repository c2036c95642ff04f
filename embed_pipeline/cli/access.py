"""``access``: who may open a web UI that is shared."""

import os
from pathlib import Path

import typer

from embed_pipeline.cli.options import Context
from embed_pipeline.cli.ui import access_file
from embed_pipeline.errors import SettingsError
from embed_pipeline.webui.accounts import Accounts, add_user, remove_user

PASSWORD_VARIABLE = "EMBED_PIPELINE_ACCESS_PASSWORD"  # noqa: S105  the name of the variable  # pragma: allowlist secret


ACTIONS = ("add", "remove", "list")


def change_access(
    context: Context, action: str, name: str | None, role: str | None, token: bool, access: Path | None
) -> None:
    """Add or remove a user of the access file, or list them.

    Raises:
        SettingsError: a name or a role is missing or no good, or the file cannot be used.
    """
    if action not in ACTIONS:
        raise SettingsError(f"access {action}: there are {', '.join(ACTIONS)}.")
    path = access_file(context.home, access)
    if action == "list":
        _list(context, path)
        return
    if name is None:
        raise SettingsError(f"access {action}: name the user, for example access {action} anna.")
    if action == "remove":
        remove_user(path, name)
        context.tell({"file": str(path), "removed": name}, f"{path}: {name} is removed")
        return
    if role is None:
        raise SettingsError(f"access add {name}: --role is missing; there are viewer and operator.")
    made = add_user(path, name, role, None if token else _password(name))
    outcome = {"file": str(path), "name": name, "role": role, **({"token": made} if made is not None else {})}
    context.tell(outcome, f"{path}: {name} is {role}" + (f"\ntoken, shown only now: {made}" if made else ""))


def _list(context: Context, path: Path) -> None:
    accounts = Accounts(path)
    roles = {name: user.role for name in accounts.names if (user := accounts.user(name)) is not None}
    context.tell({"users": roles}, "\n".join(f"{name}: {role}" for name, role in roles.items()))


def _password(name: str) -> str:
    given = os.environ.get(PASSWORD_VARIABLE)
    if given is not None:
        return given
    return str(typer.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True))
