"""The options that every command takes, declared once, and what they make: settings and home of one command."""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer
from typer.core import TyperCommand

from embed_pipeline.errors import SettingsError
from embed_pipeline.store.home import check_home

if TYPE_CHECKING:
    from embed_pipeline.settings import Settings

homes_used: set[Path] = set()

Force = Annotated[list[str] | None, typer.Option("--force", help="Stage or asset to recompute; may be repeated.")]
Plan = Annotated[bool, typer.Option("--plan", help="Say what would run and why; run nothing.")]
To = Annotated[str | None, typer.Option("--to", help="Stop after this stage or asset.")]
Variant = Annotated[
    list[str] | None, typer.Option("--variant", help="Run this variant instead, or all of them; may be repeated.")
]


def _shared(name: str, about: str) -> Any:
    return typer.Option(name, help=about, rich_help_panel="Options of every command")


@dataclass(frozen=True)
class Context:
    """Settings and home of one command.

    Attributes:
        names_home: ``--home`` was given.
        corpus: as given; a path resolved.
        config: the settings file, if there is one, resolved.
        names_config: it was named with ``--config``.
        given: something about the settings was given on the command line.
        overrides: ``section.key=value``, as given.
    """

    home: Path
    names_home: bool
    corpus: Path | str | None
    profile: str | None
    config: Path | None
    given: bool
    overrides: tuple[str, ...]
    as_json: bool
    names_config: bool = False

    @classmethod
    def of(
        cls,
        corpus: Annotated[
            str | None,
            _shared("--corpus", "Folder of documents, BEIR folder, SDG records, training data; or an address of such."),
        ] = None,
        profile: Annotated[str | None, _shared("--profile", "cpu (default) or gpu.")] = None,
        config: Annotated[Path | None, _shared("--config", "Settings file; ./pipeline.yaml when there is one.")] = None,
        home: Annotated[
            Path | None,
            _shared("--home", "Where artifacts are kept; else $EMBED_PIPELINE_HOME, else ./.embed_pipeline."),
        ] = None,
        overrides: Annotated[list[str] | None, _shared("--set", "section.key=value; may be repeated.")] = None,
        as_json: Annotated[bool, _shared("--json", "One JSON object on standard output, nothing else there.")] = False,
    ) -> "Context":
        """Its parameters are the options of every command."""
        given = corpus is not None or profile is not None or config is not None or bool(overrides)
        names_config = config is not None
        if config is None and Path("pipeline.yaml").is_file():
            config = Path("pipeline.yaml")
        return cls(
            home_of(home),
            home is not None,
            _corpus(corpus) if corpus else None,
            profile,
            _resolved("--config", config) if config else None,
            given,
            tuple(overrides or ()),
            as_json,
            names_config,
        )

    @cached_property
    def settings(self) -> "Settings":
        """The settings, read when they are first asked for.

        Raises:
            SettingsError: they cannot be.
        """
        from embed_pipeline.settings.sources import load_settings

        return load_settings(self.config, self.profile, self.settings_given)

    def with_setting(self, override: str) -> "Context":
        """The same with ``section.key=value`` set over what was given."""
        return replace(self, overrides=(*self.overrides, override))

    def over_the_file(self) -> dict[str, str]:
        """Dotted setting -> where it is given, of what wins over the settings file."""
        from embed_pipeline.settings.sources import given_names

        return given_names(self.settings_given)

    def tell(self, outcome: Mapping[str, Any], text: str) -> None:
        """Print an outcome: as JSON where that is asked for, else as text."""
        typer.echo(json.dumps(outcome, ensure_ascii=False, indent=2) if self.as_json else text)

    def command(self, verb: str) -> str:
        """Another command for the same settings and home, as this user would type it."""
        words = [sys.argv[0] if sys.argv[0].endswith("embed-pipeline") else "embed-pipeline", verb]
        words += ["--home", str(self.home)] if self.names_home else []
        words += ["--config", str(self.config)] if self.config else []
        words += ["--profile", self.profile] if self.profile else []
        words += ["--corpus", str(self.corpus)] if self.corpus else []
        words += [word for override in self.overrides for word in ("--set", override)]
        return shlex.join(words)

    def export(self) -> None:
        """Let processes that load the definitions see the same settings and home, in whatever folder they run."""
        from embed_pipeline.settings.sources import absolute_overrides

        os.environ["EMBED_PIPELINE_HOME"] = str(self.home)
        os.environ["EMBED_PIPELINE_CONFIG"] = str(self.config or "")
        os.environ["EMBED_PIPELINE_PROFILE"] = self.profile or ""
        os.environ["EMBED_PIPELINE_OVERRIDES"] = json.dumps(absolute_overrides(self.settings_given))

    @property
    def settings_given(self) -> list[str]:
        """``section.key=value`` of everything that was given on the command line, --corpus too."""
        corpus = [f"corpus.path={self.corpus}"] if self.corpus else []  # absolute, hence taken verbatim
        return [*self.overrides, *corpus]


_only_shared = typer.Typer(add_completion=False)
_only_shared.command()(Context.of)
_SHARED = typer.main.get_command(_only_shared)


class Command(TyperCommand):
    """A command that takes the shared options besides its own; ``ctx.obj`` is the :class:`Context` that they make.

    What is given about the settings is checked even where the command has no use for it: a mistake is told wherever
    it is made.
    """

    checks_settings = True
    checks_home = True

    def __init__(self, *, params: list[click.Parameter], **others: Any) -> None:
        super().__init__(params=[*params, *_SHARED.params], **others)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command with its own options."""
        assert _SHARED.callback is not None
        context = _SHARED.callback(**{str(one.name): ctx.params.pop(str(one.name)) for one in _SHARED.params})
        if self.checks_home:
            check_home(context.home)
        if self.checks_settings and context.given:
            context.settings  # noqa: B018  read, for the error
        ctx.obj = context
        return super().invoke(ctx)


class Writing(Command):
    """A command that may be given a settings file which it makes."""

    checks_settings = False


class Examination(Command):
    """A command whose finding it is that settings or the home cannot be read."""

    checks_settings = False
    checks_home = False


def home_of(home: Path | None) -> Path:
    """The home folder of a command; remembered, so that a full disk can be told.

    Raises:
        SettingsError: it is a file.
    """
    chosen = _resolved("--home", home or Path(os.environ.get("EMBED_PIPELINE_HOME") or ".embed_pipeline"))
    homes_used.add(chosen)
    if chosen.exists() and not chosen.is_dir():
        raise SettingsError(f"--home {chosen}: is a file, not a folder.")
    return chosen


def _corpus(text: str) -> Path | str:
    """An address is the same in every folder; what is wrong with it the settings say."""
    from embed_pipeline.text.addresses import is_address

    return text if is_address(text) else _resolved("--corpus", Path(text))


def _resolved(option: str, path: Path) -> Path:
    try:
        whole = path.expanduser().resolve()
        whole.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long; no such user; half a character
        reason = str(getattr(error, "strerror", None) or error).rstrip(".")
        raise SettingsError(f"{option} {str(path)[:80]}: cannot be a path: {reason}.") from None
    return whole
