"""What may import what, read from the source itself."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "embed_pipeline"
TESTS = ROOT / "embed_pipeline_tests"
FILES = sorted(PACKAGE.rglob("*.py"))
STAGES = ("corpus", "sdg", "prep", "finetune", "evaluation", "export", "serving", "deploy")
HEAVY = {
    "accelerate",
    "bm25s",
    "dagster_pandas",
    "datasets",
    "docx",
    "faiss",
    "matplotlib",
    "modelopt",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pandas",
    "pypdfium2",
    "pytrec_eval",
    "scipy",
    "sentence_transformers",
    "tensorrt",
    "torch",
    "trafilatura",
    "transformers",
}
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def name_of(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def imported(file: Path) -> Iterator[tuple[str, bool]]:
    """``(module, whether at module level and at run time)`` of every import, also inside functions."""

    def visit(node: ast.AST, at_import: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, at_import) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{file}: relative import"
                yield child.module or "", at_import
                yield from ((f"{child.module}.{alias.name}", at_import) for alias in child.names)
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
                yield from visit(child, at_import and not inside and not typing_only)

    yield from visit(ast.parse(file.read_text("utf-8")), True)


def tops(file: Path, at_import_only: bool = False) -> set[str]:
    return {module.split(".")[0] for module, at_import in imported(file) if at_import or not at_import_only}


def knows_dagster(file: Path) -> bool:
    name = name_of(file)
    return name.startswith(("defs/", "cli")) or name == "definitions.py"


def stage_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "embed_pipeline" and len(parts) > 1 and parts[1] in STAGES else None


def test_there_is_something_to_check():
    assert len(FILES) > 40
    assert {file.parent.name for file in FILES} >= {*STAGES, "defs"}
    assert "dagster" in tops(PACKAGE / "definitions.py", at_import_only=True)
    assert "torch" in tops(PACKAGE / "encoder.py")
    assert "torch" not in tops(PACKAGE / "encoder.py", at_import_only=True)


@pytest.mark.parametrize("file", [file for file in FILES if not knows_dagster(file)], ids=name_of)
def test_the_library_never_imports_dagster_nor_what_stands_on_it(file):
    assert not {module for module in tops(file) if module.startswith("dagster")}
    modules = {module for module, _ in imported(file)}
    assert not {m for m in modules if m.startswith(("embed_pipeline.defs", "embed_pipeline.cli", "embed_pipeline.definitions"))}


@pytest.mark.parametrize("file", [file for file in FILES if file.parent.name in STAGES], ids=name_of)
def test_stage_folders_do_not_import_one_another(file):
    own = file.relative_to(PACKAGE).parts[0]
    assert {stage for module, _ in imported(file) if (stage := stage_of(module))} <= {own}


@pytest.mark.parametrize("file", [file for file in FILES if file.parent == PACKAGE], ids=name_of)
def test_shared_modules_do_not_import_stage_folders(file):
    upper = {"cli.py", "definitions.py", "doctor.py", "gc.py"}
    stages = {stage for module, _ in imported(file) if (stage := stage_of(module))}
    assert stages == set() or file.name in upper or file.name.startswith("cli_")


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_heavy_libraries_are_imported_inside_functions(file):
    assert tops(file, at_import_only=True) & HEAVY == set()


@pytest.mark.parametrize("file", [*FILES, *sorted(TESTS.rglob("*.py"))], ids=lambda file: file.relative_to(ROOT).as_posix())
def test_nothing_reads_data_that_can_run_code(file):
    assert tops(file) & UNSAFE == set()


def test_the_server_needs_neither_torch_nor_dagster_nor_the_tables():
    script = "import json, sys\nimport embed_pipeline.serving.__main__\nprint(json.dumps(sorted(sys.modules)))\n"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    assert loaded & (HEAVY | {"dagster", "polars", "dataframely", "psutil"}) == set()


def test_the_tests_mirror_the_package():
    folders = {file.parent.relative_to(PACKAGE) for file in FILES}
    mirrored = {file.parent.relative_to(TESTS) for file in TESTS.rglob("test_*.py")}
    assert folders <= mirrored


def test_every_shared_module_has_a_test_file():
    modules = {file.stem for file in PACKAGE.glob("*.py")}
    tested = {file.stem.removeprefix("test_") for file in TESTS.rglob("test_*.py")}
    elsewhere = {"__init__", "definitions", "http_encoder", "onnx_encoder"}  # in defs/ and serving/
    assert {name for name in modules - elsewhere if not name.startswith("cli_")} <= tested
