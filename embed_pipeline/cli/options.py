"""The options that commands share, and what they make: settings and home of one command."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from embed_pipeline.errors import SettingsError

homes_used: set[Path] = set()

Corpus = Annotated[
    Path | None, typer.Option("--corpus", help="Folder of documents, BEIR folder, SDG records, training data.")
]
Profile = Annotated[str | None, typer.Option("--profile", help="cpu (default) or gpu.")]
Config = Annotated[Path | None, typer.Option("--config", help="Settings file; ./pipeline.yaml when there is one.")]
Home = Annotated[
    Path | None,
    typer.Option("--home", help="Where artifacts are kept; else $EMBED_PIPELINE_HOME, else ./.embed_pipeline."),
]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="section.key=value; may be repeated.")]
Force = Annotated[list[str] | None, typer.Option("--force", help="Stage or asset to recompute; may be repeated.")]
Plan = Annotated[bool, typer.Option("--plan", help="Say what would run and why; run nothing.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else there.")]
To = Annotated[str | None, typer.Option("--to", help="Stop after this stage or asset.")]


class Context:
    """Settings and home of one command."""

    def __init__(self, settings: Any, home: Path, config: Path | None, profile: str | None, given: list[str]) -> None:
        self.settings = settings
        self.home = home
        self.config = config
        self.profile = profile
        self.given = given

    @classmethod
    def of(
        cls,
        corpus: Path | None,
        profile: str | None,
        config: Path | None,
        home: Path | None,
        overrides: list[str] | None,
    ) -> "Context":
        from embed_pipeline.settings.sources import load_settings

        given = list(overrides or [])
        if corpus is not None:
            given.append(f"corpus.path={json.dumps(str(corpus.expanduser().resolve()), ensure_ascii=False)}")
        if config is None and Path("pipeline.yaml").is_file():
            config = Path("pipeline.yaml")
        settings = load_settings(config, profile, given)
        return cls(settings, home_of(home), config.resolve() if config else None, profile, given)

    def command(self, verb: str) -> str:
        """Another command for the same settings and home, as this user would type it."""
        words = [sys.argv[0] if sys.argv[0].endswith("embed-pipeline") else "embed-pipeline", verb]
        if self.home != home_of(None):
            words += ["--home", str(self.home)]
        if verb != "stop":
            words += ["--config", str(self.config)] if self.config else []
            words += ["--profile", self.profile] if self.profile else []
            words += [word for override in self.given for word in ("--set", override)]
        return shlex.join(words)

    def export(self) -> None:
        """Let processes that load the definitions see the same settings and home."""
        os.environ["EMBED_PIPELINE_HOME"] = str(self.home)
        os.environ["EMBED_PIPELINE_CONFIG"] = str(self.config or "")
        os.environ["EMBED_PIPELINE_PROFILE"] = self.profile or ""
        os.environ["EMBED_PIPELINE_OVERRIDES"] = json.dumps(self.given)


def home_of(home: Path | None) -> Path:
    """The home folder of a command; remembered, so that a full disk can be told.

    Raises:
        SettingsError: it is a file.
    """
    chosen = home or Path(os.environ.get("EMBED_PIPELINE_HOME") or ".embed_pipeline")
    chosen = chosen.expanduser().resolve()
    homes_used.add(chosen)
    if chosen.exists() and not chosen.is_dir():
        raise SettingsError(f"--home {chosen}: is a file, not a folder.")
    return chosen
