"""``pipeline.yaml`` as text: parsed with every value's place, ``${NAME}`` filled from the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from streams.config.problems import Problem, nearest

Path = tuple[str | int, ...]
_WRITTEN = re.compile(r"\$\{([^}\n]*)\}")
# Braces end a plain value in a flow mapping, so ``${NAME}`` is read as two private characters, the name and
# another: as long as the original, so that columns stay true.
_READ = re.compile("\ue000\ue001([^\ue002]*)\ue002")
_TWICE = re.compile(r'found duplicate key ("[^"]*")')
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(slots=True)
class SourceText:
    """The parsed file: plain values and where each stands."""

    file: str
    values: Any = None
    problems: list[Problem] = field(default_factory=list)
    tree: Any = None
    lines: list[str] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    """Variables that the file refers to."""

    def problem(self, path: Path, message: str, write: str = "", *, at_key: bool = False) -> Problem:
        """A problem at the value (or the key) of a path."""
        line, column = self.place(path, at_key=at_key)
        return Problem(self.file, line, column, message, write)

    def has(self, path: Path) -> bool:
        """Whether the file itself has a value there; a short form has all that it stands for."""
        node = self.values
        for part in path:
            if isinstance(node, dict):
                if part not in node:
                    return False
                node = node[part]
            elif isinstance(node, list) and isinstance(part, int) and part < len(node):
                node = node[part]
            else:
                break
        return True

    def inside(self, path: Path, line: int, column: int) -> tuple[int, int]:
        """The file's place of a line and column inside a text value."""
        start_line, start_column = self.place(path)
        written = self.lines[start_line - 1][start_column - 1 :]
        if written[:1] in "|>":
            following = self.lines[start_line : start_line + 1] or [""]
            indent = len(following[0]) - len(following[0].lstrip())
            return start_line + line, indent + column
        quote = 1 if written[:1] in "'\"" else 0
        return start_line + line - 1, start_column + quote + column - 1

    def place(self, path: Path, *, at_key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the innermost part of the path that is in the file."""
        node, place = self.tree, (1, 1)
        for depth, part in enumerate(path):
            last = depth == len(path) - 1
            if isinstance(node, CommentedMap) and part in node and part in node.lc.data:
                line, column = node.lc.key(part) if at_key and last else node.lc.value(part)
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                line, column = node.lc.item(part)
            else:
                break
            place, node = (line + 1, column + 1), node[part]
        return place


def parse(text: str, file: str, environ: Mapping[str, str]) -> SourceText:
    """The file's values with the environment filled in; what is wrong is in ``problems``."""
    source = SourceText(file, lines=text.splitlines())
    try:
        source.tree = YAML().load(StringIO(_WRITTEN.sub("\ue000\ue001\\1\ue002", text)))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said, write = _said(str(error.problem or error.context).splitlines()[0])
        if mark and error.context_mark and error.context_mark.line < mark.line:
            said += f", in what begins on line {error.context_mark.line + 1}"
        source.problems.append(Problem(file, line, column, said, write))
        return source
    except RecursionError:
        source.problems.append(
            Problem(file, 1, 1, "nested too deep to be read", "fewer brackets in brackets")
        )
        return source
    except YAMLError as error:
        source.problems.append(Problem(file, 1, 1, str(error).splitlines()[0], "valid YAML in UTF-8"))
        return source
    source.values = _plain(source.tree, (), source, environ)
    return source


def _said(problem: str) -> tuple[str, str]:
    """The parser's problem without the values it quotes, which may be secrets, and what to write."""
    if found := _TWICE.match(problem):
        return f"found duplicate key {found[1]}", "each key once"
    if problem.startswith("expected ',' or '}'"):
        return problem, "quotes around a text in {…} that has one of [ ] { } , : in it, or one line a key"
    return problem, "valid YAML: check indentation, quotes, colons"


def _plain(node: Any, path: Path, source: SourceText, environ: Mapping[str, str]) -> Any:
    if isinstance(node, CommentedMap):
        return {key: _plain(value, (*path, key), source, environ) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value, (*path, index), source, environ) for index, value in enumerate(node)]
    if isinstance(node, TaggedScalar):
        tag = str(node.tag.value)
        if not tag.startswith(("!!", "tag:yaml.org")):
            write = "quotes around it, for a value that starts with ! is a tag to YAML"
            source.problems.append(source.problem(path, f"{tag} is no tag that is known", write))
        node = str(node.value)
    if isinstance(node, str):
        return _fill(str(node), path, source, environ)
    if isinstance(node, date):
        return node.isoformat()
    # The parser's numbers remember how they were written; the product needs the numbers.
    return (
        node if node is None or isinstance(node, bool) else (float if isinstance(node, float) else int)(node)
    )


def _fill(text: str, path: Path, source: SourceText, environ: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1]
        source.named.add(name)
        if environ.get(name):
            return environ[name]
        if not _NAME.match(name):
            source.problems.append(source.problem(path, f"${{{name}}} names no variable", "${NAME}"))
        else:
            like = nearest(name, [n for n in environ if n.startswith(name[:3])])
            hint = f" (did you mean ${{{like}}}?)" if like in environ else ""
            source.problems.append(
                source.problem(path, f"environment variable {name} is not set", f"export {name}=…{hint}")
            )
        return f"${{{name}}}"

    return _READ.sub(value, text)
