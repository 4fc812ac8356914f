"""The keys of a pool: field, default and meaning together, once."""

from typing import Annotated, Any, ClassVar

from . import fields
from .model_listen import Listeners
from .model_routes import Words
from .nodes import described
from .problems import Mistake, shown
from .section import Section, required, section, setting


class QueueKeys(Section):
    """`queue` of a pool"""

    limit: Annotated[int, fields.count(0, 1_000_000)] = setting(
        1000,
        "How many requests may wait for a slot, in all proxy processes together; above it 503.",
    )
    timeout: fields.Duration = setting("10s", "How long a request may wait for a slot; then 503.")


class ReloadKeys(Section):
    """`reload` of a pool"""

    timeout: fields.Duration = setting("60s", "How long a new worker may take until it is ready.")

    later: ClassVar[dict[str, str]] = {
        "ready": "a path asked of the first new worker",
        "surge": "several new workers at a time",
    }


def _parse_workers(value: Any) -> int:
    if isinstance(value, dict):
        raise Mistake("a number of workers that changes by itself is not yet possible", "write a number")
    number: int = fields.count(1, 1024, "a number of workers").parse(value)
    return number


def _environment(value: Any) -> Any:
    """Compose's list form, `[A=1, B=2]`, means the mapping."""
    if isinstance(value, str):
        name, _, text = value.partition("=")
        raise Mistake(
            f"this must be a mapping, not {described(value)}", f"write env: {{{shown(name)}: {shown(text)}}}"
        )
    if not isinstance(value, (list, tuple)):
        return value
    pairs = {}
    for item in value:
        name, equals, text = str(item).partition("=")
        if not equals:
            raise Mistake(f"{described(item)} is not a variable", "write NAME: value")
        pairs[name] = text
    return pairs


class PoolKeys(Section):
    """One pool: an application and the workers that run it"""

    app: fields.Word = required(
        "The WSGI application: `module` (its `application`, then `app`), `module:callable`, "
        "`module:factory()`, or a .py file."
    )
    directory: fields.PathText = setting(
        ".", "The application's folder: workers run in it, and it is first on the path."
    )
    python_path: Annotated[
        tuple[fields.PathText, ...], fields.Short("path or list", fields.one_or_list, {"type": "string"})
    ] = setting((), "More folders for the path.")
    env: Annotated[
        dict[fields.Variable, fields.Value],
        fields.Short("NAME=value list", _environment, {"type": "array", "items": {"type": "string"}}),
    ] = setting({}, "Variables of the application's environment.")
    env_file: fields.PathText | None = setting(
        None, "A file of NAME=value lines; `env` has the last word. Read again on reload."
    )
    user: fields.Word | None = setting(None, "The user the workers run as, when started as root.")
    group: fields.Word | None = setting(None, "The group the workers run as; else the user's.")
    prepare: Words = setting(
        (),
        "Commands run once a release, before it is ready; one that fails keeps the old release.",
    )
    workers: (
        Annotated[int, fields.Kind("number", _parse_workers, {"type": "integer", "minimum": 1})] | None
    ) = setting(None, "Worker processes. Else `$WEB_CONCURRENCY`, else twice the cores.")
    threads: Annotated[int, fields.count(1, 256)] = setting(
        1, "Threads of each worker; each runs one request at a time."
    )
    timeout: fields.DurationOrOff = setting(
        "30s",
        "From the claim of a slot to the head of the answer, then between two pieces of its body.",
    )
    queue: QueueKeys = section(QueueKeys, "Requests that wait for a slot.")
    listen: Listeners = setting(
        (),
        "Where the pool answers by itself, besides its own sockets; for use without the proxy.",
    )
    reload: ReloadKeys = section(ReloadKeys, "How new code takes over.")

    later: ClassVar[dict[str, str]] = {
        "retry": "the choice of requests to run again after a crash",
        "kill_grace": "the time between interrupting and killing",
        "after_timeout": "what follows an interrupted request",
        "max_requests": "workers that retire after so many requests",
        "max_memory": "workers that retire above so much memory",
        "preload": "workers forked from a template",
        "post_fork": "a function called in each new worker",
        "worker_exit": "a function called in each leaving worker",
        "server_timing": "the time queued in a response header",
    }
