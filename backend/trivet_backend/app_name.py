"""What `app:` names: a module, a name in it, and whether that is to be called.

Owns the grammar of the value and the error that every step after it raises. Imports nothing of the user's.
"""

import ast
from typing import NamedTuple


class AppError(Exception):
    """The application cannot be used: `text` says why in a sentence, `hint` what to do, `trace` where."""

    def __init__(self, text: str, hint: str = "", trace: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.trace = trace

    def __str__(self) -> str:
        lines = [self.text]
        if self.hint:
            lines.append(f"hint: {self.hint}")
        if self.trace:
            lines.append(self.trace.rstrip())
        return "\n".join(lines)


class AppName(NamedTuple):
    """A parsed `app:` value. `call` is None when the object itself is the application."""

    module: str
    name: str
    call: ast.Call | None


def parse_app(app: str) -> AppName:
    module, colon, expression = app.strip().partition(":")
    if not module or (colon and not expression):
        raise AppError(
            f"app: {app!r} names no application", "write module, module:callable or module:factory()"
        )
    if not expression:
        return AppName(module, "", None)
    try:
        node = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        node = None
    call = node if isinstance(node, ast.Call) else None
    name = _dotted(call.func if call else node)
    if not name:
        raise AppError(
            f"app: {expression!r} (after {module}:) is neither a name nor a call of one",
            "write module:callable or module:factory(), e.g. shop.wsgi:application",
        )
    return AppName(module, name, call)


def _dotted(node: ast.AST | None) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return ""
