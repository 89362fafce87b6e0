"""Edits of a Python file's text. The file is parsed and never run; an edit that finds nothing to change gives ``None``."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType

Editor = Callable[[str], str | None]
Node = ast.stmt | ast.expr

_IMPORTS = {
    "torch": "import torch",
    "nn": "from torch import nn",
    "DataLoader": "from torch.utils.data import DataLoader",
    "transforms": "from torchvision import transforms",
    "BATCH_SIZE": "BATCH_SIZE = 32",
}


def put_first(text: str, function: str, line: str) -> str | None:
    """A line at the head of a function's body, ``{i}`` standing for the name of its i-th parameter."""
    found = _function(text, function)
    if found is None:
        return None
    names = [argument.arg for argument in found.args.args]
    begin = found.body[min(len(found.body) - 1, int(ast.get_docstring(found) is not None))]
    try:
        filled = " " * begin.col_offset + line.format(*names)
    except IndexError:
        return None
    if begin.lineno == found.lineno or (ast.get_docstring(found) is not None and len(found.body) == 1):
        return None
    return _spliced(text, begin.lineno, begin.lineno, [filled])


def put_after(text: str, function: str, call: str, line: str) -> str | None:
    """A line behind the statement that calls ``call``, parameters filled in likewise."""
    found = _function(text, function)
    if found is None:
        return None
    calls = (node for node in ast.walk(found) if isinstance(node, ast.Expr) and _called(node.value) == call)
    statement = next(calls, None)
    names = [argument.arg for argument in found.args.args]
    if statement is None or len(names) < 5:
        return None
    return _spliced(text, _after(statement), _after(statement), [" " * statement.col_offset + line.format(*names)])


def calls(text: str, function: str) -> set[str]:
    """Names of everything that a function calls."""
    found = _function(text, function)
    return set() if found is None else {_called(node) for node in ast.walk(found)} - {""}


def without_calls(text: str, is_unwanted: Callable[[ast.Call], bool], function: str | None = None) -> str | None:
    """The file without the statements that are such a call, of one function or all; a block of nothing else goes too."""
    changed = text
    while True:
        root: ast.AST | None = ast.parse(changed) if function is None else _function(changed, function)
        unwanted = None if root is None else next(_unwanted(root, is_unwanted), None)
        if unwanted is None:
            return None if changed == text else changed
        statement, kept = unwanted
        lines = [" " * statement.col_offset + "pass"] if kept else []
        changed = _spliced(changed, statement.lineno, _after(statement), lines)


def named(*names: str) -> Callable[[ast.Call], bool]:
    """Whether a call is of one of these names, whatever it is a method of."""
    return lambda call: _called(call) in names


def initialises(call: ast.Call) -> bool:
    """Whether a call is one of ``nn.init``."""
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return (getattr(owner, "attr", "") or getattr(owner, "id", "")) == "init"


def scaled_constant(text: str, name: str, factor: float) -> str | None:
    """A constant of the file times a factor; whole numbers stay whole."""
    value = _assigned(text, name)
    return None if value is None else multiplied(text, [value.value], factor)


def scaled_keyword(text: str, function: str, keyword: str, factor: float) -> str | None:
    """A keyword's numbers in a function times a factor; a constant of the file is changed where it is set."""
    found = _function(text, function)
    values = [k.value for k in ast.walk(found) if isinstance(k, ast.keyword) and k.arg == keyword] if found else []
    names = {value.id for value in values if isinstance(value, ast.Name)}
    changed = (
        multiplied(text, [value for value in values if not isinstance(value, ast.Name)], factor) if values else None
    )
    for name in sorted(names):
        changed = None if changed is None else scaled_constant(changed, name, factor)
    return changed


def multiplied(text: str, nodes: Sequence[ast.expr], factor: float) -> str | None:
    """Numbers in the text times a factor."""
    new: dict[ast.expr, str] = {}
    for node in nodes:
        number = node.value if isinstance(node, ast.Constant) else None
        if not isinstance(number, int | float):
            return None
        new[node] = str(round(number * factor)) if isinstance(number, int) else f"{number * factor:.3g}"
    return rewritten(text, new)


def rewritten(text: str, new: dict[ast.expr, str]) -> str:
    """Expressions of one line each in other words. Columns count bytes, as ``ast`` has them."""
    lines = [line.encode() for line in text.splitlines()]
    for node in sorted(new, key=lambda n: (n.lineno, n.col_offset), reverse=True):
        line, last = lines[node.lineno - 1], lines[(node.end_lineno or node.lineno) - 1]
        joined = line[: node.col_offset] + new[node].encode() + last[node.end_col_offset :]
        lines[node.lineno - 1 : node.end_lineno] = [joined]
    return b"\n".join(lines).decode() + "\n"


def with_keyword(text: str, call: str, argument: str) -> str | None:
    """Every call of that name with one more keyword argument."""
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and _called(node) == call]
    name = argument.split("=", maxsplit=1)[0]
    found = [node for node in found if all(k.arg != name for k in node.keywords)]
    segments = {node: ast.get_source_segment(text, node) or "" for node in found}
    new: dict[ast.expr, str] = {node: f"{old[:-1]}, {argument})" for node, old in segments.items() if old}
    return rewritten(text, new) if new else None


def without_softmax(text: str) -> str | None:
    """What ``forward`` returns, or a loss is given, no longer passed through softmax or a sigmoid."""
    tree = ast.parse(text)
    ends = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return)]
    losses = [
        n for n in ast.walk(tree) if isinstance(n, ast.Call) and _called(n) in {"cross_entropy", "loss_fn", "criterion"}
    ]
    ends += [call.args[0] for call in losses if call.args]
    new: dict[ast.expr, str] = {}
    for node in ends:
        if isinstance(node, ast.Call) and _called(node) in {"softmax", "sigmoid"}:
            owner = node.func.value if isinstance(node.func, ast.Attribute) else None
            function = owner is None or (getattr(owner, "attr", "") or getattr(owner, "id", "")) in {
                "F",
                "torch",
                "functional",
            }
            inner = node.args[0] if function and node.args else owner
            if inner is not None:
                new[node] = ast.get_source_segment(text, inner) or ""
    return rewritten(text, new) if new and all(new.values()) else None


def first_argument(text: str, function: str, argument: str) -> str | None:
    """What a function returns is a call: its first argument in other words."""
    found = _function(text, function)
    ends = [n.value for n in ast.walk(found) if isinstance(n, ast.Return)] if found is not None else []
    new: dict[ast.expr, str] = (
        {
            end.args[0]: argument.format(*(a.arg for a in found.args.args))
            for end in ends
            if isinstance(end, ast.Call) and end.args
        }
        if found is not None
        else {}
    )
    return rewritten(text, new) if new else None


def set_constant(text: str, name: str, value: str) -> str | None:
    """A constant that the file sets, set to something else."""
    node = _assigned(text, name)
    return None if node is None else _spliced(text, node.lineno, _after(node), [f"{name} = {value}"])


def with_function(text: str, name: str, source: str) -> str:
    """A function of the file anew, or one that it lacks at its end, with the imports that it needs."""
    new, old = source.rstrip().splitlines(), _function(text, name)
    if old is None:
        changed = text.rstrip("\n") + "\n\n\n" + source.rstrip() + "\n"
    else:
        start = min([old.lineno, *(decorator.lineno for decorator in old.decorator_list)])
        changed = _spliced(text, start, _after(old), new)
    return _imported(changed, source)


def source_of(module: ModuleType, name: str) -> str:
    """The text of a function, without what it says of itself."""
    text = textwrap.dedent(inspect.getsource(getattr(module, name)))
    begin = _function(text, name)
    if begin is None or ast.get_docstring(begin) is None:
        return text
    return _spliced(text, begin.body[0].lineno, _after(begin.body[0]), [])


def _imported(text: str, added: str) -> str:
    """The file with the imports that ``added`` needs and it lacks, after its own."""
    tree = ast.parse(text)
    used = {node.id for node in ast.walk(ast.parse(added)) if isinstance(node, ast.Name)}
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    bound = {alias.asname or alias.name for node in imports for alias in node.names}
    bound |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    lines = [line for name, line in _IMPORTS.items() if name in used - bound]
    head: list[ast.stmt] = [*imports] or [node for node in tree.body[:1] if ast.get_docstring(tree) is not None]
    after = max((_after(node) for node in head), default=1)
    return _spliced(text, after, after, lines) if lines else text


def _unwanted(tree: ast.AST, is_unwanted: Callable[[ast.Call], bool]) -> Iterator[tuple[ast.stmt, bool]]:
    """Statements to take out, and whether ``pass`` must stand in their place."""
    blocks: dict[ast.stmt, tuple[ast.AST, list[ast.stmt]]] = {}
    for parent in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(parent, name, None)
            blocks |= dict.fromkeys(block, (parent, block)) if isinstance(block, list) else {}
    for statement in blocks:
        if not (
            isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) and is_unwanted(statement.value)
        ):
            continue
        goes: ast.stmt = statement
        parent, block = blocks[goes]
        while (
            len(block) == 1 and isinstance(parent, ast.For | ast.If | ast.With) and not getattr(parent, "orelse", None)
        ):
            goes = parent
            parent, block = blocks[goes]
        yield goes, len(block) == 1


def _function(text: str, name: str) -> ast.FunctionDef | None:
    return next((n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == name), None)


def _assigned(text: str, name: str) -> ast.Assign | None:
    assigned = (node for node in ast.parse(text).body if isinstance(node, ast.Assign))
    return next((node for node in assigned if [getattr(t, "id", "") for t in node.targets] == [name]), None)


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _after(node: Node) -> int:
    return (node.end_lineno or node.lineno) + 1


def _spliced(text: str, start: int, end: int, lines: Sequence[str]) -> str:
    """Lines ``start`` to ``end`` (from 1, the end left out) replaced."""
    old = text.splitlines()
    return "\n".join([*old[: start - 1], *lines, *old[end - 1 :]]) + "\n"
