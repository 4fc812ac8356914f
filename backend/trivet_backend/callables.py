"""What the objects of a module could be: WSGI applications, ASGI ones, factories.

Looks at signatures and runs nothing. An object may raise whatever it likes at a look: flask.request does.
"""

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any


def offer(module: ModuleType, where: str) -> str:
    """What a module has that could be meant: applications first, then factories."""
    apps, factories = [], []
    for name, value in list(vars(module).items()):
        if name.startswith("_") or inspect.isclass(value) or not callable(value):
            continue
        if getattr(value, "__module__", None) == module.__name__ and inspect.isfunction(value):
            if takes(value, 0) and ("app" in name or name.startswith(("create", "make", "get"))):
                factories.append(f"{where}:{name}()")
            elif _parameters(value)[:2] == ["environ", "start_response"]:
                apps.append(f"{where}:{name}")
        elif not inspect.isroutine(value) and not is_asgi(value) and takes(value, 2):
            apps.append(f"{where}:{name}")
    offers = (apps + factories)[:4]
    return f"write app: {' or '.join(offers)}" if offers else "nothing in it looks like a WSGI application"


def is_asgi(value: object) -> bool:
    """True for async callables (Starlette, FastAPI, Quart, Django's ASGIHandler) and ASGI's signature."""
    call: object = value
    if not inspect.isroutine(value):
        # The class's own method: an instance's attribute of that name is not what a call runs.
        call = _class_attributes(value).get("__call__")
    if inspect.iscoroutinefunction(call):
        return True
    return _parameters(value)[:3] == ["scope", "receive", "send"]


def takes(value: Callable[..., object], count: int) -> bool:
    try:
        inspect.signature(value).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # a builtin that has no signature: cannot be told
        return True
    except Exception:
        return False
    return True


def _class_attributes(value: object) -> dict[str, Any]:
    """The attributes of its class and of the classes above, or of the class it is."""
    kind = value if inspect.isclass(value) else type(value)
    return {name: found for base in reversed(kind.__mro__) for name, found in vars(base).items()}


def _parameters(value: object) -> list[str]:
    """The names of its parameters, none where they cannot be told: flask.request raises at any look at it."""
    try:
        return list(inspect.signature(value).parameters)  # type: ignore[arg-type]
    except Exception:
        return []
