"""The keys of a pool: field, default and meaning together, once."""

from typing import Annotated, Any

from . import fields
from .model_listen import Listeners
from .model_routes import Words
from .model_workers import LEAST_MEMORY, Function, Preload, ReloadKeys, Workers
from .nodes import described
from .problems import Mistake, shown
from .section import Section, required, section, setting


class QueueKeys(Section):
    """`queue` of a pool"""

    limit: Annotated[int, fields.count(0, 1_000_000)] = setting(
        1000,
        "How many requests may wait for a slot, in all proxy processes together; above it 503.",
    )
    timeout: fields.Duration = setting(
        "10s",
        "How long a request may wait for a slot; then 503. Unless it is written, `trivet proxy` waits 10 s "
        "longer than `stop_timeout`, for a backend of its own may be restarted.",
    )


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
    workers: Workers = setting(
        None,
        "Worker processes: a number, or bounds for a pool that grows and shrinks. Else `$WEB_CONCURRENCY`, "
        "else twice the cores.",
    )
    threads: Annotated[int, fields.count(1, 256)] = setting(
        1, "Threads of each worker; each runs one request at a time."
    )
    timeout: fields.DurationOrOff = setting(
        "30s",
        "From the claim of a slot to the head of the answer, then between two pieces of its body.",
    )
    kill_grace: fields.Duration = setting(
        "2s", "How long an interrupted request may still take; then its worker is killed or leaves."
    )
    after_timeout: Annotated[str, fields.choice("replace", "keep")] = setting(
        "replace",
        "`replace`: a worker in which a request was interrupted gets a successor, since a driver may still "
        "owe an answer to whoever comes next; `keep`: it goes on.",
    )
    queue: QueueKeys = section(QueueKeys, "Requests that wait for a slot.")
    server_timing: fields.Switch = setting(
        False, "Tell clients in a Server-Timing header how long their request waited for a slot."
    )
    retry: Annotated[str, fields.choice("off", "safe", "idempotent")] = setting(
        "safe",
        "Which requests are run once more when their worker died amid them: `safe` (GET, HEAD, OPTIONS, "
        "TRACE) or `idempotent` ones (PUT and DELETE too), or none. One that had not entered the application "
        "always is.",
    )
    max_requests: fields.CountOrOff = setting(
        "off", "A worker retires after so many requests, or up to a tenth sooner, so that not all do at once."
    )
    max_memory: Annotated[int | None, fields.size(LEAST_MEMORY, off=True)] = setting(
        "off", "A worker retires after the request that leaves it with more private memory than this."
    )
    preload: Preload = setting(
        None,
        "Load the application once, in a process from which the workers are forked and whose memory they "
        "share. Renewed with each release.",
    )
    post_fork: Function | None = setting(
        None, "A function called in each new worker before its first request."
    )
    worker_exit: Function | None = setting(
        None, "A function called in each leaving worker after its last request."
    )
    listen: Listeners = setting(
        (),
        "Where the pool answers by itself, besides its own sockets; for use without the proxy.",
    )
    reload: ReloadKeys = section(ReloadKeys, "How new code takes over.")
