"""Names of tests that pages and tables refer to: each must be there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


@cache
def tests_in(path: Path) -> frozenset[str]:
    """The tests of a file; none if there is no such file."""
    if not path.exists():
        return frozenset()
    made = ast.walk(ast.parse(path.read_text()))
    return frozenset(each.name for each in made if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))


def missing(node: str) -> bool:
    """Whether ``tests/…/test_x.py::test_y`` is not there."""
    path, _, name = node.partition("::")
    return not name.startswith("test_") or name not in tests_in(ROOT / path)
