"""A room imports only rooms before it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import shallows

ROOT = Path(shallows.__file__).parent
ORDER = [
    "notebook",
    "model",
    "landscape",
    "symmetry",
    "solve",
    "certify",
    "lab",
    "atlas",
    "report",
    "cli",
    "estimators",
    "papers",
]
# What a room does not know although it comes later.
BLIND = {
    "symmetry": {"landscape"},
    "lab": {"model", "landscape", "symmetry", "solve", "certify", "jax", "equinox", "igraph"},
}


def _room(path):
    name = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return "cli" if name == "__main__" else name  # the same door, opened by `python -m`


def _imports(path):
    """Every module that a file imports, also inside functions, by its absolute name."""
    package = ["shallows", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from shallows import solve` imports a room, `from shallows.solve import x` a name.
            yield from (
                (f"{module}.{a.name}" for a in node.names) if module == "shallows" else [module]
            )


def _files():
    return [p for p in sorted(ROOT.rglob("*.py")) if p != ROOT / "__init__.py"]


def _graph():
    """For each room, the other rooms it imports and by which file."""
    graph: dict[str, dict[str, str]] = {}
    for path in _files():
        arrows = graph.setdefault(_room(path), {})
        for name in _imports(path):
            parts = name.split(".")
            is_room = parts[0] == "shallows" and len(parts) > 1 and not parts[1].startswith("__")
            if is_room and parts[1] != _room(path):
                arrows.setdefault(parts[1], str(path.relative_to(ROOT)))
    return graph


def test_every_room_has_its_place_in_the_order():
    assert set(_graph()) <= set(ORDER)
    assert {room for arrows in _graph().values() for room in arrows} <= set(ORDER)


def test_a_room_imports_only_rooms_before_it():
    graph = _graph()
    for room in ORDER:
        print(f"{room:10} ← {', '.join(sorted(graph.get(room, {}))) or 'nothing'}")
    down = {
        f"{where}: {room} imports {other}"
        for room, arrows in graph.items()
        for other, where in arrows.items()
        if ORDER.index(other) >= ORDER.index(room)
    }
    assert not down


def test_some_rooms_do_not_know_others_that_come_before():
    seen = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _files()
        for name in _imports(path)
        if BLIND.get(_room(path), set()) & set(name.split(".")[:2])
    }
    assert not seen


def test_papers_do_not_import_one_another():
    for path in sorted((ROOT / "papers").glob("[!_]*.py")):
        others = {name for name in _imports(path) if name.startswith("shallows.papers.")}
        assert not others, path.name


def test_the_walk_sees_imports_of_every_form(tmp_path, monkeypatch):
    (tmp_path / "lab").mkdir()
    file = tmp_path / "lab" / "x.py"
    file.write_text(
        "import shallows.solve.flow as f\nfrom shallows import atlas\nfrom . import study\n"
        "def g():\n    from ..model.laws import Gaussian\n    import jax.numpy\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert list(_imports(file)) == [
        "shallows.solve.flow",
        "shallows.atlas",
        "shallows.lab",
        "shallows.model.laws",
        "jax.numpy",
    ]
    assert set(_graph()["lab"]) == {"solve", "atlas", "model"}


@pytest.mark.parametrize("module", ["shallows", "shallows.lab", "shallows.report"])
def test_importing_what_needs_no_mathematics_does_not_import_jax(module):
    script = f"import sys, {module}; print(sorted({{'jax', 'equinox'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_every_name_on_the_front_page_can_be_imported():
    for name in shallows.__all__:
        assert getattr(shallows, name) is not None
    with pytest.raises(AttributeError, match="module 'shallows' has no attribute 'sallow'"):
        _ = shallows.sallow
