"""What an object could be, told without running it."""

import functools
from types import ModuleType
from typing import Any

import pytest

from trivet_backend.callables import is_asgi, offer, takes


class Instance:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...


class AsgiInstance:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class Proxy:
    """As flask.request outside a request: even its signature cannot be asked for."""

    @property
    def __signature__(self) -> Any:
        raise RuntimeError("Working outside of request context.")

    def __call__(self, *arguments: Any) -> Any: ...


def wsgi(environ: Any, start_response: Any) -> Any: ...


def asgi(scope: Any, receive: Any, send: Any) -> Any: ...


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (wsgi, False),
        (asgi, True),
        (Instance(), False),
        (AsgiInstance(), True),
        (Proxy(), False),
        (dict, False),
    ],
)
def test_asgi_is_known_by_its_call(value: object, expected: bool) -> None:
    assert is_asgi(value) is expected


@pytest.mark.parametrize(
    ("value", "count", "expected"),
    [
        (wsgi, 2, True),
        (wsgi, 0, False),
        (functools.partial(wsgi, {}), 1, True),
        (Instance(), 2, True),
        (dict, 1, True),  # its signature cannot be told
        (Proxy(), 2, False),
    ],
)
def test_how_many_arguments_it_takes(value: Any, count: int, expected: bool) -> None:
    assert takes(value, count) is expected


def test_what_a_module_offers() -> None:
    module = ModuleType("shop")
    assert offer(module, "shop") == "nothing in it looks like a WSGI application"
    vars(module).update(request=Proxy(), live=AsgiInstance(), _hidden=Instance(), kind=Instance, number=3)
    assert offer(module, "shop") == "nothing in it looks like a WSGI application"
    exec("def make_it(): ...\ndef serve(environ, start_response): ...\ndef other(): ...", vars(module))
    vars(module)["site"] = Instance()
    assert offer(module, "shop") == "write app: shop:serve or shop:site or shop:make_it()"
