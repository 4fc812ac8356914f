"""Finds what a folder has to serve: a Django project, a WSGI application, static files.

Reads sources without running them: a settings module may open databases. Bounded in files and their size.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .refusal import Refusal

# What makes an application when it is called at the top of a module.
WSGI_MAKERS = {"Flask", "Bottle", "make_wsgi_app", "get_wsgi_application", "App"}
ASGI_MAKERS = {"FastAPI", "Starlette", "Quart", "Sanic", "Litestar", "BlackSheep", "get_asgi_application"}
FACTORIES = {"create_app", "make_app", "get_app"}
# Read first: where an application is by custom.
_USUAL = ("wsgi", "app", "application", "main", "site", "__init__")
_SKIPPED = {
    "venv",
    "env",
    "node_modules",
    "tests",
    "test",
    "migrations",
    "docs",
    "build",
    "dist",
    "__pycache__",
}
_MOST_FILES = 400
_LARGEST = 1024 * 1024


class Found(NamedTuple):
    """The application to be served, and the folder of its static files with their path (it may be absent)."""

    app: str
    kind: str
    static_path: str = "/static/"
    static: str | None = None
    note: str = ""


def find(folder: Path) -> Found:
    """What there is to serve in a folder. Raises Refusal with what to do when there is nothing."""
    django = _find_django(folder)
    if django:
        return django
    asgi = ""
    for path in _sources(folder):
        tree = _parse(path)
        if tree is None:
            continue
        module = _module(path.relative_to(folder))
        name = _application(tree)
        if name and module:
            return Found(f"{module}:{name}", "a WSGI application", **_static(folder, path))
        asgi = asgi or (f"{module}:{made}" if (made := _made_by(tree, ASGI_MAKERS)) else "")
    if asgi:
        raise Refusal(
            f"{asgi} is an ASGI application, and pools run WSGI: start its own server and write "
            "routes: [{path: /, upstream: http://127.0.0.1:9000}]"
        )
    raise Refusal(
        "found no manage.py and no WSGI application here; "
        "write trivet.yaml yourself: pools: {web: {app: module:name}}"
    )


# ---------------------------------------------------------------------- Django


def _find_django(folder: Path) -> Found | None:
    manage = _text(folder / "manage.py")
    match = re.search(r"DJANGO_SETTINGS_MODULE[\"']\s*,\s*[\"']([\w.]+)[\"']", manage)
    if not match:
        return None
    settings = match[1]
    values = _django_settings(folder, settings)
    app = _named_app(values) or _beside(folder, settings)
    static = values.get("STATIC_ROOT")
    path = "/" + str(values.get("STATIC_URL") or "static/").strip("/") + "/"
    if "://" in str(values.get("STATIC_URL") or ""):
        return Found(app, "a Django project")
    if isinstance(static, str) and (folder / static).is_dir():
        return Found(app, "a Django project", path, static)
    note = "static files: set STATIC_ROOT, run manage.py collectstatic, then write the route into trivet.yaml"
    return Found(app, "a Django project", path, None, note)


def _named_app(values: dict[str, object]) -> str:
    module, _, name = str(values.get("WSGI_APPLICATION") or "").rpartition(".")
    return module if name == "application" else f"{module}:{name}" if module else ""


def _beside(folder: Path, settings: str) -> str:
    package = settings.partition(".")[0]
    if (folder / package / "wsgi.py").is_file():
        return f"{package}.wsgi"
    raise Refusal(
        f"manage.py names {settings}, but there is neither WSGI_APPLICATION in it nor {package}/wsgi.py"
    )


def _django_settings(folder: Path, module: str) -> dict[str, object]:
    """The three settings that matter, from the settings module and, for a split one, its siblings."""
    path = folder.joinpath(*module.split("."))
    files = [path.with_suffix(".py"), path / "__init__.py"]
    files += sorted(path.parent.glob("*.py")) if path.parent != folder else []
    files += sorted(path.glob("*.py"))
    values: dict[str, object] = {}
    for file in files[:20]:
        tree = _parse(file)
        for node in tree.body if tree else []:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                if name in ("WSGI_APPLICATION", "STATIC_URL", "STATIC_ROOT"):
                    values.setdefault(name, _value(node.value))
    return values


def _value(node: ast.expr) -> str | None:
    """A string, or a path below BASE_DIR as it is usually written; None for what must be run to be known."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        left, right = _value(node.left), _value(node.right)
        return f"{left}/{right}" if left and right else None
    if isinstance(node, ast.Name) and node.id in ("BASE_DIR", "ROOT_DIR", "PROJECT_ROOT"):
        return "."
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        parts = [_value(argument) for argument in node.args]
        if called in ("join", "str", "Path") and parts and all(parts):
            return "/".join(part for part in parts if part)
    return None


# ---------------------------------------------------------------------- anything else


def _sources(folder: Path) -> Iterator[Path]:
    """Modules of the folder and of packages in it and in src/, those of a usual name first."""
    found = [path for path in folder.glob("*.py") if path.name != "setup.py"]
    for package in sorted(folder.iterdir()):
        skip = package.name in _SKIPPED or package.name.startswith(".")
        if package.is_dir() and not skip and not (package / "pyvenv.cfg").exists():
            found += package.glob("*.py")
    found.sort(key=lambda path: (_rank(path), len(path.parts), path))
    yield from found[:_MOST_FILES]


def _rank(path: Path) -> int:
    return _USUAL.index(path.stem) if path.stem in _USUAL else len(_USUAL)


def _application(tree: ast.Module) -> str:
    """The name under which a module has a WSGI application, or the call of its factory."""
    if made := _made_by(tree, WSGI_MAKERS):
        return made
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            arguments = [argument.arg for argument in node.args.args]
            if arguments == ["environ", "start_response"]:
                return node.name
            if node.name in FACTORIES and len(arguments) == len(node.args.defaults):
                return f"{node.name}()"
    return _made_by(tree, FACTORIES)  # of another module: a wsgi.py by custom


def _made_by(tree: ast.Module, makers: set[str]) -> str:
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and _called(node.value) in makers
        ):
            return _target(node)
    return ""


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _target(node: ast.Assign) -> str:
    return node.targets[0].id if isinstance(node.targets[0], ast.Name) else ""


def _module(path: Path) -> str:
    parts = list(path.with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else ""


def _static(folder: Path, source: Path) -> dict[str, str]:
    """Flask serves the folder `static` beside the module; the proxy does it without the application."""
    static = source.parent / "static"
    return {"static": static.relative_to(folder).as_posix()} if static.is_dir() else {}


def _parse(path: Path) -> ast.Module | None:
    try:
        return ast.parse(_text(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as opened:
            return opened.read(_LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""
