"""``promote``: an experiment becomes what the home is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from embed_pipeline.cli import output
from embed_pipeline.cli.options import Context
from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.edit import changed_lines, edited, set_values
from embed_pipeline.settings.promotion import override_values, refuse_hidden
from embed_pipeline.settings.sources import with_overrides
from embed_pipeline.store.history import experiment


def promote_run(context: Context, run: str, plan: bool) -> int:
    """Write the overrides of an experiment into the settings file, then run the pipeline; the exit code.

    What the experiment computed is taken up by its key: nothing is trained again.

    Raises:
        SettingsError: there is no such experiment, or no settings file.
    """
    from embed_pipeline.cli import run as run_command

    record = experiment(context.home, run)
    overrides = record["overrides"]
    file = context.config
    if file is None:
        raise SettingsError(
            f"run {record['run_id']}: its settings have no file to be written to; name one with --config "
            "(it is made if there is none)."
        )
    before = context if file.is_file() else replace(context, config=None)
    values = override_values(before.settings, overrides)
    refuse_hidden(values, context.overrides, f"run {record['run_id']}")
    lines = _would_change(file, values) if plan else set_values(file, values)
    _tell(file, lines, plan)
    again = {verb: context.command(verb) for verb in ("ui", "stop")}
    context.export()
    settings = with_overrides(before.settings, overrides) if plan else replace(context).settings
    return run_command.run(settings, context.home, None, [], plan=plan, as_json=context.as_json, again=again)


def _would_change(file: Path, values: Mapping[str, Any]) -> list[str]:
    text = file.read_text("utf-8") if file.is_file() else ""
    return changed_lines(text, edited(text, values, str(file)))


def _tell(file: Path, lines: Sequence[str], plan: bool) -> None:
    verb = "would be written" if plan else "written"
    console = output.err()
    console.print(f"{file}: {verb}" if lines else f"{file}: says so already", markup=False)
    for line in lines:
        console.print(f"  {line}", markup=False)
