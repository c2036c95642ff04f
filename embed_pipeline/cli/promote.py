"""``promote``: a variant or an experiment becomes what the home is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from embed_pipeline.cli import output
from embed_pipeline.cli.options import Context
from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import Settings
from embed_pipeline.settings.differences import changed_since
from embed_pipeline.settings.edit import changed_lines, edited, set_values
from embed_pipeline.settings.promotion import override_values, refuse_hidden, variant_values
from embed_pipeline.settings.sources import nearest, variant_settings, with_overrides
from embed_pipeline.store.history import History, experiment


def promote_named(context: Context, name: str, plan: bool) -> int:
    """Promote the variant of that name, else the experiment whose id begins so; the exit code.

    Raises:
        SettingsError: there is neither, or no settings file.
    """
    if not name.strip():
        raise SettingsError(
            "promote: the id is empty; give that of a run (embed-pipeline history lists them) or a variant."
        )
    variants = list(_before(context).settings.variants)
    if name in variants:
        return promote_variant(context, name, plan)
    hint = nearest(name, variants)
    if hint and not any(record["run_id"].startswith(name) for record in History(context.home).all()):
        raise SettingsError(f"{name} is neither a variant{hint} nor a run of {context.home}.")
    return promote_run(context, name, plan)


def promote_run(context: Context, run: str, plan: bool) -> int:
    """Write the overrides of an experiment into the settings file, then run the pipeline; the exit code.

    What the experiment computed is taken up by its key: nothing is trained again, unless other settings have changed
    since, which is told.

    Raises:
        SettingsError: there is no such experiment, or no settings file.
    """
    record = experiment(context.home, run)
    overrides, who = record["overrides"], f"run {record['run_id']}"
    if context.config is None:
        raise SettingsError(
            f"{who}: its settings have no file to be written to; name one with --config (it is made if there is none)."
        )
    before = _before(context).settings
    values = override_values(before, overrides)
    refuse_hidden(values, context.over_the_file(), who)
    planned = with_overrides(before, overrides)
    differing = changed_since(record, planned)
    if differing:
        output.err().print(_warning(who, differing), markup=False, soft_wrap=True)
    told = {"differs": {name: {"then": then, "now": now} for name, (then, now) in differing.items()}}
    return _write_and_run(context, context.config, values, planned, plan, told)


def promote_variant(context: Context, variant: str, plan: bool) -> int:
    """Write a variant's settings into the main part of the settings file, then run the main graph; the exit code.

    What the variant computed is taken up by its key: nothing is trained again.

    Raises:
        SettingsError: the file does not declare it, or what is given besides would hide it.
    """
    if context.config is None:
        raise SettingsError(f"variant {variant}: no settings file declares it; name one with --config.")
    values = variant_values(context.config, variant)
    refuse_hidden(values, context.over_the_file(), f"variant {variant}")
    return _write_and_run(context, context.config, values, variant_settings(context.settings, variant), plan)


def _warning(who: str, differing: Mapping[str, tuple[Any, Any]]) -> str:
    listed = ", ".join(f"{name}: {json.dumps(then)} -> {json.dumps(now)}" for name, (then, now) in differing.items())
    return f"warning: {who} ran with other settings, so what it measured is not what is promoted: {listed}"


def _before(context: Context) -> Context:
    """The context without a settings file that is yet to be made."""
    there = context.config is not None and context.config.is_file()
    return context if there else replace(context, config=None)


def _write_and_run(
    context: Context,
    file: Path,
    values: Mapping[str, Any],
    planned: Settings,
    plan: bool,
    told: Mapping[str, Any] | None = None,
) -> int:
    from embed_pipeline.cli import run as run_command

    lines = _would_change(file, values) if plan else set_values(file, values)
    _tell(file, lines, plan)
    again = {verb: context.command(verb) for verb in ("ui", "stop")}
    context.export()
    settings = planned if plan else replace(context).settings  # read anew
    told = {"file": str(file), "changed": lines, **(told or {})}
    return run_command.run(settings, context.home, None, [], plan=plan, as_json=context.as_json, again=again, told=told)


def _would_change(file: Path, values: Mapping[str, Any]) -> list[str]:
    text = file.read_text("utf-8") if file.is_file() else ""
    return changed_lines(text, edited(text, values, str(file)))


def _tell(file: Path, lines: Sequence[str], plan: bool) -> None:
    verb = "would be written" if plan else "written"
    console = output.err()
    console.print(f"{file}: {verb}" if lines else f"{file}: says so already", markup=False)
    for line in lines:
        console.print(f"  {line}", markup=False)
