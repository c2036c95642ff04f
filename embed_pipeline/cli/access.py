"""``access``: who may open a web UI that is shared."""

import os
from pathlib import Path
from typing import Annotated

import typer

from embed_pipeline.cli.options import Command, Context
from embed_pipeline.cli.ui import access_file

PASSWORD_VARIABLE = "EMBED_PIPELINE_ACCESS_PASSWORD"  # noqa: S105  the name of the variable

app = typer.Typer(help="Who may open the web UI, and what for: viewers look, operators run.", no_args_is_help=True)

File = Annotated[Path | None, typer.Option("--access", help="Access file; else access.json in the home.")]
Name = Annotated[str, typer.Argument(help="Name of the user.")]


@app.command(cls=Command)
def add(
    ctx: typer.Context,
    name: Name,
    role: Annotated[str, typer.Option("--role", help="viewer or operator.")],
    token: Annotated[bool, typer.Option("--token", help="For a program: print a token instead.")] = False,
    access: File = None,
) -> None:
    """Add a user, or change one; the password is asked for, or taken from EMBED_PIPELINE_ACCESS_PASSWORD."""
    from embed_pipeline.webui.accounts import add_user

    context: Context = ctx.obj
    path = access_file(context.home, access)
    password = None if token else os.environ.get(PASSWORD_VARIABLE)
    if not token and password is None:
        password = str(typer.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True))
    made = add_user(path, name, role, password)
    outcome = {"file": str(path), "name": name, "role": role, **({"token": made} if made is not None else {})}
    context.tell(outcome, f"{path}: {name} is {role}" + (f"\ntoken, shown only now: {made}" if made else ""))


@app.command(cls=Command)
def remove(ctx: typer.Context, name: Name, access: File = None) -> None:
    """Remove a user; what they have open ends at once."""
    from embed_pipeline.webui.accounts import remove_user

    path = access_file(ctx.obj.home, access)
    remove_user(path, name)
    ctx.obj.tell({"file": str(path), "removed": name}, f"{path}: {name} is removed")


@app.command("list", cls=Command)
def list_users(ctx: typer.Context, access: File = None) -> None:
    """Who there is, and in which role."""
    from embed_pipeline.webui.accounts import Accounts

    accounts = Accounts(access_file(ctx.obj.home, access))
    roles = {name: user.role for name in accounts.names if (user := accounts.user(name)) is not None}
    ctx.obj.tell({"users": roles}, "\n".join(f"{name}: {role}" for name, role in roles.items()))
