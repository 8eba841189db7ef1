"""The library's own source as one text: chosen names and all that they need, so that a file runs without the library.

The source is read from the modules as they are now, so the text never differs from what the library does. Definitions
keep the order of their modules, and a module comes after those that it imports.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from graphlib import TopologicalSorter
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

from torch import nn

from gptcore.formats.syntax_tree import parse_python

LIBRARY = "gptcore"


class Definition(NamedTuple):
    """A name defined at the top of a module."""

    module: str
    name: str


class SourceError(ValueError):
    """The source cannot be written as one text, said in one sentence."""


@dataclass(frozen=True)
class Module:
    """What a module defines and imports at its top."""

    name: str
    lines: tuple[str, ...]
    summary: str  # the first line of its docstring
    statements: Mapping[str, tuple[ast.stmt, ...]]  # by name: what defines it, and what changes it after that
    ours: Mapping[str, Definition]  # names imported from the library
    modules: Mapping[str, str]  # modules of the library that are imported, by their name here
    others: Mapping[str, ast.stmt]  # imports from other packages, by the name that each defines


class Library(NamedTuple):
    """Source that runs by itself: what it imports from other packages, and its sections by module, in order."""

    imports: str
    sections: dict[str, str]


def collect(names: Mapping[str, Iterable[str]], caller: str) -> Library:
    """Return the source of names, given by module, and of all that they use, for the code of a `caller`.

    Methods that nothing in it calls are left out. Raises SourceError where two modules define the same name.
    """
    roots = [Definition(f"{LIBRARY}.{module}", name) for module, some in names.items() for name in some]
    called = _attributes(parse_python(caller))
    while True:
        wanted, others = _closure(roots, called)
        nodes = [node for home in wanted for node in read_module(home.module).statements[home.name]]
        more = called.union(*(_attributes(node, called) for node in nodes))
        if more == called:
            break
        called = more
    _check_unique(wanted)
    order = _import_order({definition.module for definition in wanted})
    sections = {name: _section(read_module(name), wanted, called) for name in order}
    others |= read_imports(caller)
    return Library(_joined_imports(others.values()), sections)


def _closure(
    roots: Iterable[Definition], called: Set[str]
) -> tuple[dict[Definition, None], dict[str, ast.stmt]]:
    """Return all that some definitions use of the library, themselves among them, and what they import from others."""
    wanted: dict[Definition, None] = {}
    others: dict[str, ast.stmt] = {}
    waiting = list(roots)
    while waiting:
        definition = waiting.pop()
        if definition in wanted:
            continue
        wanted[definition] = None
        module = read_module(definition.module)
        if definition.name not in module.statements:
            raise SourceError(f"{module.name} does not define {definition.name} at its top")
        for name, attribute in _used_names(module.statements[definition.name], called):
            if name in module.statements:
                waiting.append(Definition(module.name, name))
            elif name in module.ours:
                waiting.append(module.ours[name])
            elif name in module.modules and attribute:
                waiting.append(Definition(module.modules[name], attribute))
            elif name in module.others:
                others[name] = module.others[name]
    return wanted, others


def _check_unique(wanted: Iterable[Definition]) -> None:
    homes: dict[str, str] = {}
    for module, name in wanted:
        if homes.setdefault(name, module) != module:
            raise SourceError(f"{name} is defined in {homes[name]} and in {module}; rename one of the two")


def _import_order(names: Set[str]) -> list[str]:
    """Return modules so that each comes after those that it imports."""
    graph = {}
    for name in sorted(names):
        module = read_module(name)
        imported = {home.module for home in module.ours.values()} | set(module.modules.values())
        graph[name] = sorted(imported & names)  # so that the order is always the same
    return list(TopologicalSorter(graph).static_order())


@lru_cache(maxsize=64)
def read_module(name: str) -> Module:
    """Return what the module of this name defines and imports."""
    source = inspect.getsource(import_module(name))
    tree = parse_python(source)
    statements: dict[str, tuple[ast.stmt, ...]] = {}
    ours: dict[str, Definition] = {}
    modules: dict[str, str] = {}
    for node in tree.body:
        for defined in _defined_names(node):
            statements[defined] = (*statements.get(defined, ()), node)
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(LIBRARY):
            continue
        for part in node.names:
            if _is_module(node.module, part.name):
                modules[part.asname or part.name] = f"{node.module}.{part.name}"
            else:
                ours[part.asname or part.name] = _home(node.module, part.name)
    summary = (ast.get_docstring(tree) or name).partition("\n")[0].rstrip(".")
    return Module(name, tuple(source.splitlines()), summary, statements, ours, modules, read_imports(source))


def read_imports(source: str) -> dict[str, ast.stmt]:
    """Return the imports from other packages at the top of source, by the name that each defines."""
    imports: dict[str, ast.stmt] = {}
    for node in parse_python(source).body:
        for part in node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else ():
            if isinstance(node, ast.Import):
                imports[part.asname or part.name.partition(".")[0]] = ast.Import([part])
            elif not (node.module or "").startswith((LIBRARY, "__future__")):
                imports[part.asname or part.name] = ast.ImportFrom(node.module, [part], 0)
    return imports


def _joined_imports(imports: Iterable[ast.stmt]) -> str:
    """Return imports as lines, one for each module, those of the standard library first."""
    names: dict[str, set[str]] = {}
    for node in imports:
        start, _, name = ast.unparse(node).rpartition("import ")
        names.setdefault(f"{start}import ", set()).add(name)
    lines = [
        f"{start}{', '.join(sorted(some))}" if start != "import " else f"{start}{name}"
        for start, some in names.items()
        for name in (sorted(some) if start == "import " else [""])
    ]
    in_order = sorted(lines, key=lambda line: (line.startswith("from"), line))
    groups = [[line for line in in_order if _is_standard(line) is standard] for standard in (True, False)]
    return "\n\n".join("\n".join(group) for group in groups if group)


def _is_standard(line: str) -> bool:
    return re.split(r"[ .]", line)[1] in sys.stdlib_module_names


def _is_module(package: str, name: str) -> bool:
    return hasattr(import_module(package), "__path__") and find_spec(f"{package}.{name}") is not None


def _home(module: str, name: str) -> Definition:
    """Return where a name is defined that a module offers: it may have imported it itself."""
    known = read_module(module)
    return known.ours[name] if name in known.ours else Definition(module, name)


def _defined_names(node: ast.stmt) -> list[str]:
    """Return the names that a statement defines, or whose attributes or items it sets."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [name for target in targets for name in _target_names(target)]
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
            return _target_names(target)
    return []


def _target_names(target: ast.expr) -> list[str]:
    match target:
        case ast.Name(id=name):
            return [name]
        case ast.Tuple(elts=parts):
            return [name for part in parts for name in _target_names(part)]
        case ast.Attribute(value=inner) | ast.Subscript(value=inner):
            return _target_names(inner)
    return []


def _kept(node: ast.AST, called: Set[str]) -> list[ast.AST]:
    """Return the parts of a statement; of a class, not the methods that nothing calls."""
    parts = list(ast.iter_child_nodes(node))
    return (
        [part for part in parts if not _is_left_out(part, called)]
        if isinstance(node, ast.ClassDef)
        else parts
    )


def _is_left_out(part: ast.AST, called: Set[str]) -> bool:
    """Return whether part of a class is a method that nothing calls: neither by name, nor Python or torch by itself."""
    return (
        isinstance(part, ast.FunctionDef)
        and not part.name.startswith("__")
        and not hasattr(nn.Module, part.name)
        and part.name not in called
    )


def _attributes(node: ast.AST, called: Set[str] | None = None) -> set[str]:
    """Return the names of all attributes in code, in methods that are called if only those count."""
    children = ast.iter_child_nodes(node) if called is None else _kept(node, called)
    attributes = {node.attr} if isinstance(node, ast.Attribute) else set()
    return attributes.union(*(_attributes(child, called) for child in children))


def _used_names(nodes: Iterable[ast.AST], called: Set[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the names that code uses, each with the attribute asked of it."""
    for node in nodes:
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                yield name, attribute
            case ast.Name(id=name):
                yield name, None
        yield from _used_names(_kept(node, called), called)


def _section(module: Module, wanted: Iterable[Definition], called: Set[str]) -> str:
    """Return the wanted statements of a module as they stand in it, with the comments above them."""
    names = [name for home, name in wanted if home == module.name]
    nodes = {node.lineno: node for name in names for node in module.statements[name]}
    text, previous_end, was_block = "", 0, False
    for _, node in sorted(nodes.items()):
        start = _first_line(node)
        while start > 1 and module.lines[start - 2].startswith("#"):
            start -= 1
        is_block = isinstance(node, (ast.FunctionDef, ast.ClassDef))
        if text:
            text += "\n\n\n" if is_block or was_block else "\n" if start == previous_end + 1 else "\n\n"
        text += "\n".join(_lines(module, node, start, called))
        previous_end, was_block = node.end_lineno, is_block
    return _without_modules(text, module)


def _first_line(node: ast.AST) -> int:
    return min([node.lineno, *(mark.lineno for mark in getattr(node, "decorator_list", ()))])


def _lines(module: Module, node: ast.stmt, start: int, called: Set[str]) -> list[str]:
    """Return the lines of a statement without the methods that nothing calls."""
    hidden: set[int] = set()
    for part in node.body if isinstance(node, ast.ClassDef) else ():
        if _is_left_out(part, called):
            hidden |= set(range(_first_line(part) - 1, part.end_lineno + 1))  # with the empty line above
    return [module.lines[i - 1] for i in range(start, node.end_lineno + 1) if i not in hidden]


def _without_modules(source: str, module: Module) -> str:
    """Return source in which names stand alone that were attributes of imported modules of the library."""
    spots = [
        (node.lineno, node.col_offset, node.value.end_col_offset + 1)
        for node in ast.walk(parse_python(source))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in module.modules
    ]
    lines = source.split("\n")
    for line, start, end in sorted(spots, reverse=True):
        data = lines[line - 1].encode()  # offsets count bytes
        lines[line - 1] = (data[:start] + data[end:]).decode()
    return "\n".join(lines)
