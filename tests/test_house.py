"""How the rooms of the project stand on each other, read from every import that runs, wherever it stands.

Imports for annotations alone (under ``TYPE_CHECKING``) do not run: a stage's methods are given the core that
it is part of, and say so.
"""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
# From the ground up: a room imports from those before it, and from the modules that all may use.
ROOMS = [
    *("core", "machines", "workload", "rules", "nn", "cost", "data", "models", "evaluation"),
    *("prefill", "training", "serving", "command_machines", "command", "__main__", "experiments"),
]
GROUND = {"extras", "files", "plotting", "tables"}


def module_name(file: pathlib.Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_name(file): file
    for folder in ("photonjax", "experiments")
    for file in sorted((ROOT / folder).rglob("*.py"))
}


def run(node: ast.AST) -> Iterator[ast.AST]:
    """A syntax tree's nodes, but for those under ``if TYPE_CHECKING``."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from run(child)


def imports(module: str) -> set[str]:
    """The project's modules that a module's import statements name, those within functions included.

    A name taken from a package is its module of that name, if there is one, and else the package itself.
    """
    found = set()
    for node in run(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import of {node.module}"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in FILES else str(node.module) for name in names}
    return (found & FILES.keys()) - {module}


GRAPH = {module: imports(module) for module in FILES}


def room(module: str) -> str:
    """``photonjax.cost.plots`` is of the room ``cost``; all experiments are one."""
    parts = module.split(".")
    return parts[0] if parts[0] == "experiments" else ".".join(parts[1:2])


def test_nothing_imports_itself_by_way_of_others():
    done: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle: {' -> '.join([*path[path.index(module) :], module])}"
        if module not in done:
            for other in sorted(GRAPH[module]):
                walk(other, (*path, module))
            done.add(module)

    for module in GRAPH:
        walk(module, ())


@pytest.mark.parametrize("name", sorted({room(m) for m in FILES} - {""}))
def test_a_room_imports_only_from_rooms_below(name):
    assert name in GROUND or name in ROOMS, f"{name} has no place in the order of rooms"
    below = GROUND if name in GROUND else GROUND | set(ROOMS[: ROOMS.index(name)])
    if name in ("command", "__main__", "experiments"):
        below = below | {""}  # the public face
    upward = [
        f"{module} imports {other}"
        for module in FILES
        for other in sorted(GRAPH[module])
        if room(module) == name and room(other) not in {*below, name}
    ]
    assert not upward, "\n".join(upward)
