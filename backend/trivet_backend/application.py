"""The user's application: finds it, imports it, and says in a sentence why it cannot.

Owns the meaning of a pool's `app:` (module, module:callable, module:factory(), a .py file).
Knows nothing of processes or sockets; `trivet check --app` and the workers use the same function.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Protocol

from trivet_backend.app_name import AppError, AppName, parse_app
from trivet_backend.callables import is_asgi, offer, takes
from trivet_common.config.reach import why_not_a_file, why_not_a_folder

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# What is tried when only a module is named: PEP 3333's own word and Django's, then Flask's.
DEFAULT_NAMES = ("application", "app")


__all__ = ["AppError", "WsgiApplication", "load_application"]


class ApplicationPool(Protocol):
    """What this room needs of a pool's configuration."""

    @property
    def app(self) -> str: ...
    @property
    def directory(self) -> Any: ...
    @property
    def python_path(self) -> Sequence[Any]: ...


def load_application(pool: ApplicationPool) -> WsgiApplication:
    """Import and return the WSGI callable of `pool`, from its directory. Raises AppError, nothing else."""
    spec = parse_app(pool.app)
    _enter(pool)
    module = _import(spec.module)
    if not spec.name:
        return _checked(_default(module, spec.module), f"{spec.module}:{_default_name(module)}", module)
    found = _attribute(module, spec)
    where = f"{spec.module}:{spec.name}"
    if spec.call is not None:
        found = _made(found, where, spec.call)
        where += "()"
    return _checked(found, where, module)


def _enter(pool: ApplicationPool) -> None:
    """Stand in the pool's directory, with it and then `python_path` first on the path."""
    directory = os.fspath(pool.directory)
    try:
        os.chdir(directory)
    except OSError as error:
        barred = why_not_a_folder(Path(directory)) if isinstance(error, PermissionError) else None
        reason = barred or error.strerror
        raise AppError(f"directory: {directory} cannot be entered: {reason}") from None
    ours = [os.path.abspath(directory), *(os.path.abspath(os.fspath(p)) for p in pool.python_path)]
    sys.path[:] = ours + [p for p in sys.path if p not in ours and p != ""]
    importlib.invalidate_caches()


def _import(name: str) -> ModuleType:
    is_file = name.endswith(".py") or "/" in name
    try:
        return _import_file(name) if is_file else importlib.import_module(name)
    except AppError:
        raise
    except ModuleNotFoundError as error:
        if not is_file and _is_the_module_itself(error, name):
            raise _not_found(name) from None
        raise _import_failed(name, error) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may call sys.exit() or raise anything
        raise _import_failed(name, error) from None


def _import_file(path: str) -> ModuleType:
    full = os.path.abspath(path)
    if not os.path.isfile(full):
        there = [f.name for f in sorted(Path(full).parent.glob("*.py"))] if Path(full).parent.is_dir() else []
        raise AppError(
            f"app: there is no file {full}", _near(os.path.basename(full), there, "the folder has")
        )
    stem = Path(full).stem
    # Flask finds its templates through sys.modules[__name__], so the name must be free and be entered there.
    name = stem if stem.isidentifier() and stem not in sys.modules else f"trivet_app_{abs(hash(full))}"
    if (folder := os.path.dirname(full)) not in sys.path:
        sys.path.insert(1, folder)
    spec = importlib.util.spec_from_file_location(name, full)
    if spec is None or spec.loader is None:
        raise AppError(f"app: {full} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_the_module_itself(error: ModuleNotFoundError, wanted: str) -> bool:
    """True if the missing module is the one the configuration names, not one that it imports."""
    if error.name is None or not (wanted == error.name or wanted.startswith(error.name + ".")):
        return False
    return not _users_frames(error.__traceback__)


def _not_found(name: str) -> AppError:
    parent, _, last = name.rpartition(".")
    text = f"app: there is no module {name!r} (looked in {sys.path[0]} first)"
    barred = out_of_reach(sys.path[:1])
    if barred:
        return AppError(text, barred)
    package = sys.modules.get(parent) if parent else None
    if parent and package is None:
        first = name.split(".")[0]
        return AppError(text, _near(first, _modules_in([sys.path[0]]), f"{sys.path[0]} has"))
    paths = list(getattr(package, "__path__", ())) if package else [sys.path[0]]
    return AppError(
        text, _near(last, _modules_in(paths), f"package {parent} has" if parent else f"{sys.path[0]} has")
    )


def out_of_reach(path: Sequence[str]) -> str:
    """Why modules of this path cannot be seen at all, "" if all of it is open to this user.

    A pool's user seldom may enter /root, where Python or a virtual environment often lies.
    """
    for folder in path:
        try:
            os.scandir(folder).close()
        except PermissionError as error:
            return why_not_a_folder(Path(folder)) or f"{folder}: {error.strerror}"
        except OSError:
            continue  # Python's path names what need not exist
    return ""


def _modules_in(paths: list[str]) -> list[str]:
    import pkgutil  # here and below: only who explains a failure needs it, and every worker would carry it

    return sorted(m.name for m in pkgutil.iter_modules(paths))


def _near(name: str, known: Sequence[str], otherwise: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if known:
        return f"{otherwise}: {', '.join(known[:12])}{' …' if len(known) > 12 else ''}"
    return "is `directory` the folder that the module's first package lies in?"


def _import_failed(name: str, error: BaseException) -> AppError:
    hint = ""
    if isinstance(error, ModuleNotFoundError) and error.name:
        hint = out_of_reach(sys.path) or (
            f"{name} was found; it needs {error.name!r}, which is not installed for {sys.executable}"
        )
    elif isinstance(error, SystemExit):
        hint = "a module must not call sys.exit() when it is imported; put that below `if __name__ == ...`"
    elif isinstance(error, PermissionError) and isinstance(error.filename, str):
        hint = why_not_a_file(Path(error.filename)) or ""
    elif isinstance(error, SyntaxError) and error.filename:
        hint = f"{error.filename}:{error.lineno}"
    return AppError(f"app: importing {name} failed: {_one_line(error)}", hint, _trace(error))


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _users_frames(trace: TracebackType | None) -> list[TracebackType]:
    """The frames that are neither ours nor the import machinery's."""
    found: list[TracebackType] = []
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if (
            filename != __file__
            and not filename.startswith("<frozen importlib")
            and filename != importlib.__file__
        ):
            found.append(trace)
        trace = trace.tb_next
    return found


def _trace(error: BaseException) -> str:
    """The traceback from the user's first frame on: what lies above says nothing to them."""
    users = _users_frames(error.__traceback__)
    if not users and not isinstance(error, SyntaxError):
        return ""  # the file itself could not be read: the sentence has said it
    return "".join(traceback.format_exception(type(error), error, users[0] if users else None))


def _default_name(module: ModuleType) -> str:
    return next((name for name in DEFAULT_NAMES if hasattr(module, name)), "")


def _default(module: ModuleType, where: str) -> object:
    name = _default_name(module)
    if not name:
        hint = _wsgi_below(module) or offer(module, where)
        raise AppError(f"app: module {where} has neither `application` nor `app`", hint)
    return getattr(module, name)


def _wsgi_below(module: ModuleType) -> str:
    """Django's `wsgi` module, when its package or the manage.py beside it was named in its place."""
    if hasattr(module, "__path__"):
        found = [module.__name__] if "wsgi" in _modules_in(list(module.__path__)) else []
    else:
        folder = Path(module.__file__ or "").parent
        found = [package.parent.name for package in sorted(folder.glob("*/wsgi.py"))]
    return f"write app: {' or '.join(f'{package}.wsgi' for package in found[:3])}" if found else ""


def _attribute(module: ModuleType, spec: AppName) -> object:
    found: object = module
    for part in spec.name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            public = [n for n in vars(module) if not n.startswith("_")]
            import difflib

            close = difflib.get_close_matches(part, public, n=1, cutoff=0.75)
            hint = f"did you mean {spec.module}:{close[0]}?" if close else offer(module, spec.module)
            raise AppError(f"app: module {spec.module} has no {spec.name!r}", hint) from None
        except Exception as error:  # a proxy such as flask.request, a property, a module's __getattr__
            text = f"app: {spec.module}:{spec.name} cannot be read: {_one_line(error)}"
            raise AppError(text, trace=_trace(error)) from None
    return found


def _made(factory: object, where: str, call: ast.Call) -> object:
    if not callable(factory):
        raise AppError(
            f"app: {where} is a {type(factory).__name__} and cannot be called", f"write app: {where}"
        )
    try:
        args = [ast.literal_eval(a) for a in call.args]
        named = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
        if len(named) != len(call.keywords):
            raise ValueError("**")
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise AppError(
            f"app: the arguments of {where}(...) must be plain values: text, numbers, True, lists",
            f"write a module with `app = {where.rpartition(':')[2]}(...)` and name that",
        ) from None
    try:
        made: object = factory(*args, **named)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        text = f"app: calling {where}() failed: {_one_line(error)}"
        raise AppError(text, trace=_trace(error)) from None
    if made is None:
        raise AppError(f"app: {where}() returned None", "does the factory end with `return app`?")
    return made


def _checked(found: object, where: str, module: ModuleType) -> WsgiApplication:
    if inspect.iscoroutine(found):
        found.close()
        raise AppError(f"app: {where} is a coroutine, not an application", "the factory must not be `async`")
    if not callable(found):
        hint = offer(module, where.partition(":")[0])
        raise AppError(f"app: {where} is a {type(found).__name__}, not a WSGI callable", hint)
    if is_asgi(found):
        raise _asgi(found, where)
    if not takes(found, 2):
        factory = takes(found, 0) and not where.endswith("()")
        hint = f"a factory is called: write app: {where}()" if factory else "see PEP 3333"
        raise AppError(f"app: {where} does not take (environ, start_response)", hint)
    return found


def _asgi(found: object, where: str) -> AppError:
    kind = f"{type(found).__module__.partition('.')[0]}'s {type(found).__name__}"
    if inspect.isroutine(found) or inspect.isclass(found):
        kind = "async"
    hint = f"run `uvicorn {where} --uds app.sock` and route to it with `upstream: unix:app.sock`"
    if type(found).__module__.startswith("django."):
        hint = f"write app: {where.partition(':')[0].replace('asgi', 'wsgi')}, or {hint}"
    return AppError(f"app: {where} ({kind}) is an ASGI application; a pool runs WSGI", hint)
