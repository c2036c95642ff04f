"""``make lock``: write the files that pin every package, from the extras in ``pyproject.toml``.

Each file holds for Python 3.11 to 3.14 on Linux and on macOS with ARM, one version a package. What a file pins stays
as long as it fits; ``make lock UPGRADE=--upgrade`` takes the newest releases instead.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).resolve().parent.parent
CPU_TORCH = "torch==2.13.0"
"""The newest torch whose CPU build the tests have run with."""
CUDA_PARTS = re.compile(r"(nvidia|cuda)-|triton==")
"""Packages that torch's CUDA build brings and its CPU build does not; torch pins them itself."""


@dataclass(frozen=True)
class Pins:
    """One file of pins.

    Attributes:
        file: its name in the project's root.
        extras: what it covers.
        held: requirements beside those of the extras.
        follows: a file whose versions are taken where they fit.
        hashes: whether it is for ``pip install --require-hashes``, else for ``pip install -c``.
        cuda: whether packages of CUDA belong in it.
        optional: extras whose packages are pinned as well, so that they fit the others.
    """

    file: str
    extras: tuple[str, ...]
    held: tuple[str, ...] = ()
    follows: str | None = None
    hashes: bool = False
    cuda: bool = False
    optional: tuple[str, ...] = ()


TRACKERS = ("mlflow", "tensorboard", "trackio", "wandb")
FILES = (
    Pins("constraints.txt", ("cpu", "demo", "dev"), (CPU_TORCH,), optional=TRACKERS),
    Pins("constraints-gpu.txt", ("gpu", "demo", "dev"), follows="constraints.txt", cuda=True, optional=TRACKERS),
    Pins(
        "constraints-data-designer.txt",
        ("cpu", "data-designer", "demo", "dev"),
        (CPU_TORCH,),
        follows="constraints.txt",
    ),
    Pins("requirements-hashed.txt", ("cpu", "demo"), (CPU_TORCH,), follows="constraints.txt", hashes=True, cuda=True),
)


def compile_pins(pins: Pins, upgrade: bool) -> str:
    """The file's text.

    Raises:
        subprocess.CalledProcessError: the extras have no common solution; uv has said why.
    """
    with tempfile.TemporaryDirectory() as folder:
        held, out = Path(folder, "held.txt"), Path(folder, "pins.txt")
        held.write_text("".join(f"{line}\n" for line in pins.held))
        out.write_text(_preferred(pins, upgrade))
        command = [find_uv_bin(), "pip", "compile", "pyproject.toml", "--quiet", "--universal", "--no-header"]
        command += ["--fork-strategy", "fewest", "--no-annotate", "--no-emit-index-url", "--output-file", str(out)]
        command += ["--python", sys.executable, "--no-python-downloads", "--constraints", str(held)]
        command += [part for extra in (*pins.extras, *pins.optional) for part in ("--extra", extra)]
        command += ["--generate-hashes"] if pins.hashes else []
        subprocess.run(command, cwd=ROOT, check=True)
        return _header(pins) + (_requirements(out.read_text()) if pins.hashes else _constraints(out.read_text(), pins))


def _preferred(pins: Pins, upgrade: bool) -> str:
    """What uv keeps where it fits: the pins of the file it follows, then its own."""
    lines: dict[str, str] = {}
    own = ROOT / pins.file
    sources = [own] if own.exists() and not upgrade else []
    if pins.follows is not None:
        sources.append(ROOT / pins.follows)
    for source in sources:
        found = re.findall(r"^([\w.-]+)==([^\s;\\]+)", source.read_text(), re.MULTILINE)
        lines.update({name.lower(): f"{name}=={version}\n" for name, version in found})
    return "".join(lines.values())


def _header(pins: Pins) -> str:
    extras = ",".join(pins.extras)
    use = f"pip install --require-hashes -r {pins.file}" if pins.hashes else f'pip install -c {pins.file} ".[{extras}]"'
    return f"# Written by `make lock`. {use}\n"


def _constraints(text: str, pins: Pins) -> str:
    """One version a package, for every system."""
    lines = [line.partition(" ;")[0] for line in text.splitlines()]
    return "".join(f"{line}\n" for line in lines if pins.cuda or not CUDA_PARTS.match(line))


def _requirements(text: str) -> str:
    """The conditions that most packages carry name every supported system: they say nothing and go."""
    conditions = Counter(re.findall(r" ; ([^\\\n]+?)(?= \\|$)", text, re.MULTILINE))
    return text.replace(f" ; {conditions.most_common(1)[0][0]} \\", " \\")


def main() -> None:
    """Write all files, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", help="which to write; all by default")
    parser.add_argument("--upgrade", action="store_true", help="take the newest releases")
    arguments = parser.parse_args()
    for pins in FILES:
        if not arguments.files or pins.file in arguments.files:
            (ROOT / pins.file).write_text(compile_pins(pins, arguments.upgrade))
            print(f"{pins.file} written")


if __name__ == "__main__":
    main()
