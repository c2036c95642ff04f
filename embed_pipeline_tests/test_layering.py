"""What may import what, read from the source itself."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "embed_pipeline"
TESTS = ROOT / "embed_pipeline_tests"
FILES = sorted(PACKAGE.rglob("*.py"))
STAGES = ("corpus", "sdg", "prep", "finetune", "evaluation", "export", "serving", "deploy")
LAYERS = (
    ("cli",),
    ("webui",),
    ("definitions",),
    ("defs",),
    ("automation",),
    ("stages",),
    STAGES,
    ("llm", "encoders", "retrieval", "formats"),
    ("store", "settings", "tables"),
    ("text", "records", "files", "errors", "progress", "charts", "batched"),
)
"""From the top down; a file imports from its own layer and from those below."""
LAYER = {name: depth for depth, layer in enumerate(LAYERS) for name in layer}
HEAVY = {
    "accelerate",
    "bm25s",
    "dagster_pandas",
    "datasets",
    "docx",
    "faiss",
    "genai_prices",
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


def room(file: Path) -> str:
    """The folder or top-level module that a file belongs to."""
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def rooms_in(file: Path) -> set[str]:
    """The folders and top-level modules of the package that a file imports."""
    parts = [module.split(".") for module, _ in imported(file)]
    return {part[1] for part in parts if part[0] == "embed_pipeline" and len(part) > 1} & set(LAYER)


def knows_dagster(file: Path) -> bool:
    return room(file) in ("defs", "cli", "webui", "definitions")


def test_there_is_something_to_check():
    assert len(FILES) > 40
    assert {file.parent.name for file in FILES} >= {*STAGES, "defs"}
    assert "dagster" in tops(PACKAGE / "definitions.py", at_import_only=True)
    assert "torch" in tops(PACKAGE / "encoders" / "torch_encoder.py")
    assert "torch" not in tops(PACKAGE / "encoders" / "torch_encoder.py", at_import_only=True)


def offences(files: Iterable[Path], found: Callable[[Path], set[str]]) -> dict[str, set[str]]:
    """What each file should not have."""
    return {file.relative_to(ROOT).as_posix(): bad for file in files if (bad := found(file))}


def test_the_library_never_imports_dagster_nor_what_stands_on_it():
    upper = ("dagster", *(f"embed_pipeline.{name}" for name in ("defs", "cli", "webui", "definitions")))
    library = [file for file in FILES if not knows_dagster(file)]
    assert len(library) > 40
    assert offences(library, lambda file: {name for name, _ in imported(file) if name.startswith(upper)}) == {}


def test_every_folder_has_its_layer():
    assert {room(file) for file in FILES} - {"__init__"} == set(LAYER)


def above(file: Path) -> set[str]:
    """What a file imports from a layer above its own."""
    return {name for name in rooms_in(file) if LAYER[name] < LAYER[room(file)]}


def test_imports_go_one_way():
    assert offences([file for file in FILES if room(file) in LAYER], above) == {}


def test_the_rule_sees_an_import_that_goes_up(tmp_path, monkeypatch):
    package = tmp_path / "embed_pipeline"
    (package / "text").mkdir(parents=True)
    wrong = package / "text" / "wrong.py"
    wrong.write_text("def late():\n    from embed_pipeline.stages import graph\n")
    monkeypatch.setitem(globals(), "PACKAGE", package)
    assert above(wrong) == {"stages"}


def test_stage_folders_do_not_import_one_another():
    staged = [file for file in FILES if room(file) in STAGES]
    assert {room(file) for file in staged} == set(STAGES)
    assert offences(staged, lambda file: (rooms_in(file) & set(STAGES)) - {room(file)}) == {}


def test_few_files_lie_at_the_top():
    assert len(list(PACKAGE.glob("*.py"))) <= 8


def test_the_dagster_layer_holds_dagster_and_nothing_else():
    defs = [file for file in FILES if room(file) == "defs" and file.name != "__init__.py"]
    assert [name_of(file) for file in defs if "dagster" not in tops(file)] == []


def test_heavy_libraries_are_imported_inside_functions():
    assert offences(FILES, lambda file: tops(file, at_import_only=True) & HEAVY) == {}


def test_nothing_reads_data_that_can_run_code():
    assert offences([*FILES, *TESTS.rglob("*.py")], lambda file: tops(file) & UNSAFE) == {}


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
    elsewhere = {"__init__", "doctor"}  # the command line's own tests
    assert {name for name in modules - elsewhere if not name.startswith("cli_")} <= tested
