"""The record of a run as it goes: what became of every asset and check, in words, for ``<home>/history``."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import DagsterEvent, DagsterEventType

from embed_pipeline import __version__
from embed_pipeline.defs.event_log import EventLog
from embed_pipeline.defs.run_request import EXPERIMENT, RunRequest
from embed_pipeline.errors import ArtifactError, EmbedPipelineError, SettingsError
from embed_pipeline.files import now_text
from embed_pipeline.settings.differences import changed_settings, git_revision
from embed_pipeline.stages.interrupts import Stop
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline.store.history import NO_FIGURES, History, figures_of

STOPPED = "stopped; finished stages are kept, run again to go on"
LONGEST = 400
"""Characters of an error nobody foresaw."""


class RunRecord:
    """What became of a run.

    Args:
        steps: asset -> key of its step, of every asset that the run was to make.

    Attributes:
        failed_steps: keys of the steps that failed.
        passed_steps: keys of those that did not.
    """

    def __init__(
        self, store: Store, request: RunRequest, instance: dg.DagsterInstance, steps: Mapping[str, str]
    ) -> None:
        self.failed_steps: set[str] = set()
        self.passed_steps: set[str] = set()
        self._store = store
        self._request = request
        self._instance = instance
        self._steps = steps
        self._errors: list[dict[str, Any]] = []
        self._executed: list[str] = []
        self._up_to_date: Mapping[str, str] = {}
        self._blocked: Sequence[str] = ()
        self._started = now_text()
        self._stop = Stop()

    def note(self, event: DagsterEvent) -> None:
        """Take in one event of the run."""
        step = str(event.step_key)
        if event.is_step_success:
            self.passed_steps.add(step)
        elif event.is_step_failure:
            self.failed_steps.add(step)
            self._note_failure(step, event.step_failure_data)
        elif event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
            self._note_evaluation(event.asset_check_evaluation_data)

    def executing(self, names: Sequence[str]) -> None:
        """These assets are executed."""
        self._executed += names

    def watch(self, up_to_date: Mapping[str, str], blocked: Sequence[str]) -> None:
        """What is not executed, growing: it need not be; something before it failed."""
        self._up_to_date, self._blocked = up_to_date, blocked

    def refused(self, error: SettingsError) -> None:
        """Write the record of a run that was given what it must not be given; nothing of it has run."""
        self._note_error(str(error), error.exit_code)
        self._end("failed")

    @contextmanager
    def kept(self, stop: Stop) -> Iterator[None]:
        """Write the record when the run starts and when it ends, however it ends."""
        self._stop = stop
        self._write("started")
        status = "failed"
        try:
            yield
            status = "failed" if self._errors else "succeeded"
        except (KeyboardInterrupt, DagsterExecutionInterruptedError):
            status = "stopped"
            self._note_stop()
            raise
        except Exception as error:
            if stop.signal is not None:
                status = "stopped"
                self._note_stop()
            elif not self._errors:
                self._note_error(*_error_line(error, self._request.run_id))
            raise
        finally:
            self._end(status)

    def end_by_force(self) -> None:
        """The last words of a run that does not notice that it was stopped."""
        sys.stderr.write(f"error: {STOPPED}\n")
        self._note_stop()
        self._write("stopped")
        run = self._instance.get_run_by_id(self._request.run_id)
        if run is not None and not run.is_finished:
            self._instance.report_run_failed(run, "stopped; the work did not end by itself, so its process was ended")
        self._forget_plans("stopped")

    def _note_stop(self) -> None:
        if not any(error["text"].endswith(STOPPED) for error in self._errors):
            self._note_error(STOPPED, self._stop.exit_code)
        for error in self._errors:
            if error["text"].endswith(STOPPED):
                error["exit_code"] = self._stop.exit_code

    def _end(self, status: str) -> None:
        record = self._write(status)
        self._instance.add_run_tags(self._request.run_id, self._tags(record))
        self._forget_plans(status)

    def _forget_plans(self, status: str) -> None:
        """Leave every asset that the run did not come to as it was shown before.

        An asset that failed is shown so, but not by an experiment: it says nothing of what the home holds.
        """
        log = self._instance.event_log_storage
        if not isinstance(log, EventLog):
            return
        shown = self.passed_steps
        if status != "stopped" and not self._request.experiment:
            shown = shown | self.failed_steps
        undone = [dg.AssetKey(name) for name, step in self._steps.items() if step not in shown]
        as_before = status != "succeeded" or self._request.experiment
        log.forget_plans(self._request.run_id, undone, as_before=as_before)

    def _note_failure(self, step: str, data: Any) -> None:
        if data.error is not None and data.error.cls_name == "DagsterAssetCheckFailedError":
            return  # the evaluation tells it in words
        text, code = failure_line(data, self._request.run_id)
        self._note_error(text if is_refusal(data) else f"{step}: {text}", code)

    def _note_evaluation(self, evaluation: dg.AssetCheckEvaluation) -> None:
        if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR and evaluation.blocking:
            self._note_error(refusal(evaluation.check_name, evaluation.asset_key, evaluation.description), 1)

    def _note_error(self, text: str, code: int) -> None:
        if text not in [error["text"] for error in self._errors]:
            self._errors.append({"text": text, "exit_code": code})

    def _write(self, status: str) -> dict[str, Any]:
        request, ended = self._request, status != "started"
        assets = self._assets()
        record: dict[str, Any] = {
            "run_id": request.run_id,
            "started": self._started,
            "finished": now_text() if ended else None,
            "status": status,
            "started_by": request.started_by,
            "pid": os.getpid(),
            "experiment": request.experiment,
            "overrides": list(request.overrides),
            "force": list(request.force),
            **self._origin,
            "assets": assets,
            "cost": self._cost(assets),
            **(self._figures() if ended else NO_FIGURES),
            "errors": self._errors,
        }
        History(self._store.home).write(record)
        return record

    @cached_property
    def _origin(self) -> dict[str, Any]:
        revision = git_revision(os.environ.get("EMBED_PIPELINE_CONFIG"))
        return {"release": __version__, **changed_settings(self._request.settings), "git": revision}

    def _assets(self) -> dict[str, dict[str, Any]]:
        """Outcome, version, key and seconds of every asset of the run that was decided on."""
        found: dict[str, dict[str, Any]] = {}
        for name in self._executed:
            done = self._store.outcome_of_run(self._request.run_id, name)
            known: dict[str, Any] = {
                field: done[field] for field in ("outcome", "version", "key", "seconds") if field in done
            }
            found[name] = known or {"outcome": "failed"}
        for name, version in self._up_to_date.items():
            found[name] = {"outcome": self._outcome(name, version), "version": version, "seconds": 0.0}
            found[name]["key"] = self._store.pointer(name).get("key")
        return found | {name: {"outcome": "skipped"} for name in self._blocked}

    def _outcome(self, name: str, version: str) -> str:
        try:
            return "skipped" if "skipped" in self._store.handle(name, version).manifest().summary else "reused"
        except ArtifactError:
            return "reused"

    def _figures(self) -> dict[str, Any]:
        """The verdict and the figures of every system, of the metrics that this run made or left as they were."""
        metrics = self._artifact("metrics")
        return NO_FIGURES if metrics is None else figures_of(metrics)

    def _cost(self, assets: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
        """Requests, tokens and money of what this run computed."""
        total: dict[str, float] = {}
        for name, asset in assets.items():
            if asset["outcome"] == "computed":
                for what, amount in _manifest_cost(self._store.handle(name, asset["version"])).items():
                    total[what] = round(total.get(what, 0.0) + amount, 6)
        return total

    def _artifact(self, name: str) -> Artifact | None:
        if name in self._up_to_date:
            return self._store.handle(name, self._up_to_date[name])
        return self._store.of_run(self._request.run_id, name)

    def _tags(self, record: Mapping[str, Any]) -> dict[str, str]:
        outcomes = [asset["outcome"] for asset in record["assets"].values()]
        tags = {
            "embed_pipeline/computed": str(outcomes.count("computed")),
            "embed_pipeline/reused": str(outcomes.count("reused")),
        }
        if record["verdict"]:
            tags["embed_pipeline/verdict"] = str(record["verdict"])
        for test_set, systems in record["ndcg_at_10"].items():
            if "tuned" in systems:
                tags[f"embed_pipeline/ndcg_at_10.{test_set}"] = f"{systems['tuned']:.4f}"
        if self._request.experiment:
            tags[EXPERIMENT] = ", ".join(self._request.overrides)
        return tags


def _manifest_cost(artifact: Artifact) -> Mapping[str, float]:
    try:
        return artifact.manifest().cost
    except ArtifactError:
        return {}


def refusal(check: str, asset: dg.AssetKey, why: str | None) -> str:
    """The sentence about a check that refused."""
    return f"check {check} on {asset.to_user_string()}: {why or 'did not pass'}"


def is_refusal(data: Any) -> bool:
    """Whether a step failed because it is a check that refused."""
    failure = data.user_failure_data
    return failure is not None and "check" in failure.metadata


def failure_line(data: Any, run_id: str) -> tuple[str, int]:
    """One line about a failed step, and the exit code it asks for."""
    failure = data.user_failure_data
    code = failure.metadata.get("exit_code") if failure is not None else None
    if failure is not None and failure.description and code is not None:
        return failure.description, int(str(code.value))
    if data.error is not None and data.error.cls_name in ("DagsterExecutionInterruptedError", "KeyboardInterrupt"):
        return STOPPED, 1
    cause = data.error.cause or data.error if data.error is not None else None
    text = " ".join(cause.message.split())[:LONGEST] if cause is not None else "unknown error"
    return f"{text} (embed-pipeline ui shows the whole trace of run {run_id})", 1


def _error_line(error: Exception, run_id: str) -> tuple[str, int]:
    if isinstance(error, EmbedPipelineError):
        return str(error), error.exit_code
    text = f"{type(error).__name__}: {' '.join(str(error).split())[:LONGEST]}"
    return f"{text} (embed-pipeline ui shows the whole trace of run {run_id})", 1
