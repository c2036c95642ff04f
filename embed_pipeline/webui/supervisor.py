"""What ``embed-pipeline ui`` does: one code server, the web server with the daemon, and an eye on the settings file.

The settings are read here and nowhere else. They go as a snapshot to the code server, and from it to every run that it
starts, so that runs work with the settings that the web UI shows. When the file has changed, a second code server
starts with the new ones; only when it answers does it take the place of the first, which ends after its last run.
"""

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from embed_pipeline.errors import SettingsError, WebUIError
from embed_pipeline.files import write_json
from embed_pipeline.settings import Settings
from embed_pipeline.settings.snapshot import VARIABLE, write_snapshot
from embed_pipeline.store.dagster_home import prepare_dagster_home
from embed_pipeline.store.home_lock import lock_of_ui
from embed_pipeline.webui.address import Serving, answers, listening
from embed_pipeline.webui.children import FEW_ARENAS, Child, stop
from embed_pipeline.webui.settings_watch import SettingsSource, SettingsWatch, differences, summary
from embed_pipeline.webui.workspace import LOCATION, write_workspace

START_SECONDS = 180.0
LOOK_SECONDS = 0.5
LARGEST_LOG = 10_000_000  # bytes


class Supervisor:
    """The processes of one web UI. Use as a context manager; all of them end with it.

    Args:
        module: whose definitions are served.
        tell: takes lines for the user.

    Raises:
        SettingsError: the settings cannot be read.
        HomeBusyError: another web UI serves the home: each would take the other's place at the code server.
        PortInUseError: somebody listens on the port.
        DatabaseError: a database of Dagster is damaged.
    """

    def __init__(
        self,
        home: Path,
        source: SettingsSource,
        serving: Serving,
        tell: Callable[[str], None],
        module: str = "embed_pipeline.definitions",
    ) -> None:
        self.settings = source.read()
        self._folder = prepare_dagster_home(home)
        self._lock = lock_of_ui(self._folder.parent)
        self._listening = listening(serving)
        self._serving = serving
        self._tell = tell
        self._module = module
        self._watch = SettingsWatch(source)
        self._sockets = Path(tempfile.mkdtemp(prefix="embed_pipeline_"))
        self._workspace = self._folder / "workspace.yaml"
        self._state = self._folder / "ui_state.json"
        self._log = None if serving.verbose else _fresh_log(self._folder / "ui.log")
        self._lifeline, self._held = os.pipe()
        self._generation = 0
        self._code: Child | None = None
        self._retired: list[Child] = []
        self._web: Child | None = None

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *reason: object) -> None:
        stop([*self._children, *self._retired])
        self._listening.close()
        os.close(self._held)
        os.close(self._lifeline)
        shutil.rmtree(self._sockets, ignore_errors=True)
        self._lock.release()

    @property
    def _children(self) -> list[Child]:
        return [child for child in (self._web, self._code) if child is not None]

    def start(self, wanted: Callable[[], bool]) -> bool:
        """Start everything and wait until the web UI answers; false where it is no longer wanted.

        Raises:
            WebUIError: a process ended or did not answer in time; with what it said last.
        """
        for old in self._folder.glob("settings-*.json"):
            old.unlink(missing_ok=True)
        self._show()
        self._code, path = self._start_code(self.settings)
        if not _await(lambda: _listens(path), self._children, wanted, START_SECONDS):
            return self._must_have_stopped(wanted)
        write_workspace(self._workspace, path)
        serving = self._serving
        web = {
            "workspace": str(self._workspace),
            "state": str(self._state),
            "listening": self._listening.fileno(),
            "host": serving.host,
            "port": serving.port,
            "names": list(serving.names),
            "access": str(serving.access) if serving.access is not None else None,
            "trusted_proxies": list(serving.trusted_proxies),
        }
        self._web = self._child("web", web, inherited=[self._listening.fileno()])
        if not _await(lambda: answers(serving), self._children, wanted, START_SECONDS):
            return self._must_have_stopped(wanted)
        return True

    def look(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """Once more at the processes and at the settings file.

        Args:
            wanted: whether to go on waiting for definitions with new settings.

        Raises:
            WebUIError: a process has ended; with what it said last.
        """
        for child in self._children:
            if child.ended:
                raise _ended(child, self._log)
        self._retired = [child for child in self._retired if not child.ended]
        if self._watch.has_changed():
            self._read_again(wanted)

    def _read_again(self, wanted: Callable[[], bool]) -> None:
        try:
            settings = self._watch.source.read()
        except SettingsError as error:
            self._refuse(str(error))
            return
        changes = differences(self.settings, settings)
        if not changes:
            self._show()
            return
        self._tell(f"the settings file has changed, its settings are being loaded: {summary(changes)}")
        child, path = self._start_code(settings)
        if not _await(lambda: _listens(path), [child], wanted, START_SECONDS):
            stop([child], 1.0)
            if not wanted():
                return
            self._refuse(f"{self._watch.source.watched}: no definitions with these settings:\n{child.last_lines()}")
            return
        write_workspace(self._workspace, path)
        old, self._code, self.settings = self._code, child, settings
        if old is not None:  # a run in it goes on with the settings it began with
            old.retire()
            self._retired.append(old)
        self._tell("settings read anew; runs started from now on work with them")
        self._show(changes=changes)

    def _refuse(self, problem: str) -> None:
        self._tell(f"error: {problem} The settings read before stay in use.")
        self._show(problem=problem)

    def _start_code(self, settings: Settings) -> tuple[Child, Path]:
        self._generation += 1
        path = self._sockets / f"code_{self._generation}.sock"
        snapshot = write_snapshot(settings, self._folder)
        options = {"socket": str(path), "location": LOCATION, "module": self._module}
        return self._child("code", options, {VARIABLE: str(snapshot)}), path

    def _child(
        self,
        role: str,
        options: dict[str, Any],
        environment: dict[str, str] | None = None,
        inherited: Sequence[int] = (),
    ) -> Child:
        return Child(role, options, {**FEW_ARENAS, **(environment or {})}, self._log, self._lifeline, inherited)

    def _must_have_stopped(self, wanted: Callable[[], bool]) -> bool:
        """False where the user stopped it.

        Raises:
            WebUIError: it ended by itself, or did not answer.
        """
        if not wanted():
            return False
        ended = next((child for child in self._children if child.ended), self._children[0])
        raise _ended(ended, self._log)

    def _show(self, problem: str | None = None, changes: list[str] | None = None) -> None:
        """Tell the web process the settings in use, and what is to be said about the file."""
        settings = str(write_snapshot(self.settings, self._folder))
        write_json(self._state, {"problem": problem, "changes": changes or [], "settings": settings})


def serve_ui(home: Path, source: SettingsSource, serving: Serving, announce: Callable[[str], None]) -> int:
    """Serve until the user stops it; the exit code.

    Args:
        announce: takes the URL, once it answers.

    Raises:
        PortInUseError: somebody listens on the port.
        SettingsError: the settings or the access file cannot be used.
        WebUIError: a process ended by itself.
    """
    with _stopped() as stopped, Supervisor(home, source, serving, _say) as supervisor:
        if supervisor.start(lambda: not stopped.is_set()):
            announce(serving.url)
        while not stopped.wait(LOOK_SECONDS):
            supervisor.look(lambda: not stopped.is_set())
    return 0


@contextlib.contextmanager
def _stopped() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM and the end of the terminal set."""
    event = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: event.set()) for number in numbers}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _await(ready: Callable[[], bool], children: list[Child], wanted: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while wanted() and time.monotonic() < deadline and not any(child.ended for child in children):
        if ready():
            return True
        time.sleep(0.1)
    return False


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _ended(child: Child, log: Path | None) -> WebUIError:
    names = {"web": "web server", "code": "code server"}
    code = child.process.poll()
    how = "did not answer in time" if code is None else f"ended by itself (exit code {code})"
    said = f"; its last lines:\n{child.last_lines()}\nThe whole log: {log}" if log is not None else ""
    return WebUIError(f"the {names[child.role]} of the web UI {how}{said}")


def _fresh_log(path: Path) -> Path:
    if path.is_file() and path.stat().st_size > LARGEST_LOG:
        path.replace(path.with_suffix(".old.log"))
    path.touch(mode=0o600)
    return path
