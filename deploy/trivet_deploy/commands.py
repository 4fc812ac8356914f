"""The commands of `trivet` and their options. Each hands over to its own room; errors become one line here.

Rooms are imported by the command that needs them, so that `trivet stop` does not wait for pydantic.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from trivet_common import __version__
from trivet_common.asking import ControlError, ask

from . import running
from .refusal import FAILED, GOOD, USAGE, Refusal
from .whereabouts import find_file, locate

FILE = click.argument("file", required=False)
LISTEN = click.option(
    "-b", "--listen", multiple=True, metavar="ADDRESS", help="Listen here instead; may be given again."
)
BESIDE = click.option(
    "--beside", metavar="USER", help="Who runs the other half, if another user of our group."
)
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def main(arguments: Sequence[str]) -> int:
    """Run a command. Whatever goes wrong is one clear line on standard error and an exit status."""
    try:
        status = trivet.main(args=list(arguments) or ["--help"], prog_name="trivet", standalone_mode=False)
    except click.ClickException as error:
        _tell_usage(error)
        return USAGE
    except Refusal as refusal:
        print(f"trivet: {refusal}", file=sys.stderr)
        return refusal.status
    except (KeyboardInterrupt, click.Abort):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # `trivet status | head`: python(1) would complain about the same at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if type(error).__name__ != "ConfigError":
            raise
        return _tell_mistakes(error)
    return status if isinstance(status, int) else GOOD


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="Trivet", message="%(prog)s %(version)s")
def trivet() -> None:
    """Serve Python web applications: a reverse proxy and a pool of WSGI workers, out of one YAML file.

    FILE is a file ending in .yaml or .yml; left out, it is $TRIVET_FILE, else ./trivet.yaml.

    Exit status: 0 good, 1 what was asked failed, 2 wrong usage, 3 nothing runs there.
    """


@trivet.command(short_help="Serve a site: the proxy and its pools.")
@click.argument("what", metavar="[FILE | MODULE[:APP]]", required=False)
@LISTEN
@click.option("-w", "--workers", metavar="N", help="Worker processes.")
@click.option("--threads", metavar="N", help="Threads of each worker.")
@click.option("--timeout", metavar="TIME", help="Time for an answer, for instance 30s.")
@click.option("--chdir", metavar="FOLDER", help="The application's folder.")
@click.option("-e", "--env", multiple=True, metavar="NAME=VALUE", help="A variable for the application.")
@click.option("--files", multiple=True, metavar="PATH=FOLDER", help="Static files: --files /static/=./static")
@click.option("--reload", is_flag=True, help="For development: renew the workers when code changes.")
@click.option("--tls-dev", is_flag=True, help="For development: https, by a certificate made for it.")
@click.option("--show-config", is_flag=True, help="Print the configuration as it will be used, and leave.")
def serve(what: str | None, reload: bool, tls_dev: bool, show_config: bool, **options: Any) -> int:
    """Serve a site until Ctrl-C or `trivet stop`: its proxy, its pools, everything.

    Without a file: trivet serve shop.wsgi, or trivet serve site:app -b 127.0.0.1:8080
    """
    started = time.monotonic()
    from .site import Options, load_site

    if reload:
        from .development import refuse_elsewhere

        refuse_elsewhere(os.environ.get("NOTIFY_SOCKET", ""))
    certificate = None
    if tls_dev:
        from .tls_dev import make

        certificate = str(make())
    site = load_site(what, Options(**options, reload=reload, certificate=certificate))
    if show_config:
        from .effective import as_yaml

        click.echo(as_yaml(site.settings), nl=False)
        return GOOD
    from .serve import serve as serve_site

    return serve_site(site, started)


@trivet.command(short_help="Run the proxy alone.")
@FILE
@LISTEN
@BESIDE
def proxy(file: str | None, listen: Sequence[str], beside: str | None) -> int:
    """Run the proxy alone, for containers and systemd; the pools are run by `trivet backend`."""
    from . import halves
    from .site import Options, load_site

    other = halves.beside(beside)
    return halves.proxy(load_site(_file(file), Options(listen=listen), purpose="proxy"), other)


@trivet.command(short_help="Run a pool alone.")
@FILE
@click.option("--pool", metavar="NAME", help="Which pool; needed when the file has several.")
@BESIDE
def backend(file: str | None, pool: str | None, beside: str | None) -> int:
    """Run one pool alone, for containers and systemd; the proxy is run by `trivet proxy`."""
    from . import halves
    from .site import load_site

    site = load_site(_file(file), purpose="backend")
    names = list(site.settings.pools)
    if pool is None and len(names) != 1:
        raise Refusal(f"{site.asked} has {len(names)} pools; choose one: --pool {' | '.join(names)}", USAGE)
    return halves.backend(site, pool or names[0], halves.beside(beside))


@trivet.command(short_help="Check the file, and with --app the applications.")
@FILE
@click.option(
    "--for", "purpose", type=click.Choice(["serve", "proxy", "backend"]), default="serve", show_default=True,
    help="What will be run here: the proxy's machine need not have the applications.",
)  # fmt: skip
@click.option("--app", is_flag=True, help="Load each application too, and say what is wrong with it.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of the file, for editors, and leave.")
def check(file: str | None, purpose: str, app: bool, schema: bool) -> int:
    """Read the file and report every mistake at once, each with its line and what to write instead."""
    from . import check as room

    if schema:
        click.echo(room.schema(), nl=False)
        return GOOD
    return room.check(_file(file), purpose, app)


@trivet.command(short_help="Show processes, workers, slots and queues.")
@click.argument("what", metavar="[FILE]", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.option("--watch", is_flag=True, help="Again every second, until Ctrl-C.")
@click.option("--probe", type=click.Choice(["ready", "live"]), help="Only an exit status, for health checks.")
@click.option("--for", "half", type=click.Choice(running.HALVES), help="With --probe: of this half alone.")
def status(what: str | None, as_json: bool, watch: bool, probe: str | None, half: str | None) -> int:
    """Show what runs: masters, workers, and what each slot is doing at this moment.

    For each pool: what waits, what has happened (timeouts, crashes, workers recycled), how the last
    reload went and, if it failed, why; and what is held by requests that were answered 504 already.
    """
    from . import status as room

    assert probe is None, "cli.py sends probes another way"
    if half is not None:
        raise Refusal("--for goes with --probe", USAGE)
    return (room.watch if watch else room.show)(*locate(what), as_json=as_json)


@trivet.command(short_help="Read the file again and renew the workers.")
@click.argument("what", metavar="[FILE]", required=False)
def reload(what: str | None) -> int:
    """Read the file again and put new workers in the old ones' place. No request is lost.

    First a new worker must have loaded the application and, if reload: {ready: /path} is written,
    answered that; a file with mistakes, or an application that does not load, changes nothing.
    """
    from .reload import reload as run

    return run(*locate(what))


@trivet.command(short_help="Print the Python stacks of workers.")
@click.argument("words", metavar="[FILE] [SLOT | PID]", nargs=-1)
def dump(words: Sequence[str]) -> int:
    """Print what the threads of workers are doing at this moment: their Python stacks.

    All workers, or one (w12, or the number of its process), or one slot (w12.0), as trivet status
    names them. Nothing is interrupted.
    """
    from . import dump as room

    what, wanted = room.split(words)
    return room.dump(*locate(what), wanted)


@trivet.command(short_help="Say which route answers a request, and why.")
@click.argument("words", metavar="[FILE] [METHOD] URL", nargs=-1, required=True)
@click.option("-H", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header; may be given again.")
@click.option("--client", metavar="ADDRESS", help="Who connects: an address, or unix.  [default: 127.0.0.1]")
@click.option("--listener", metavar="NAME", help="Where, by its name or address; else as the URL says.")
@click.option("--live", is_flag=True, help="Ask what runs, too: idle slots, servers that are up.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def explain(
    words: Sequence[str], headers: Sequence[str], client: str | None, listener: str | None,
    live: bool, as_json: bool,
) -> int:  # fmt: skip
    """Say which route of FILE answers a request, why no earlier one does, and everything that applies.

    No request is sent: the file is read, and with --live the masters are asked. URL may be a path alone.

    Example: trivet explain POST https://shop.example/api -H 'X-Api-Version: 1'
    """
    from . import explain as room
    from .question import Words

    file, method, url = room.split(words)
    site = room.read(_file(file))
    return room.tell(Words(method, url, headers, client, listener), site, live, as_json)


@trivet.command(short_help="Finish what is begun, then stop.")
@click.argument("what", metavar="[FILE]", required=False)
def stop(what: str | None) -> int:
    """Let requests in flight end (within stop_timeout), then stop, and wait for that."""
    return _stop(what)


@trivet.command(short_help="Write compressed siblings of static files.")
@click.argument("folder", metavar="FOLDER")
def compress(folder: str) -> int:
    """Write NAME.gz, NAME.br and NAME.zst beside every text file below FOLDER that shrinks by it.

    `files:` sends them to clients that take them. To be run after each build; what is up to date stays.
    """
    from . import compress as room

    return room.compress(folder)


@trivet.command(short_help="Write a first trivet.yaml, or what deploys it.")
@click.argument("what", metavar="[systemd | compose | kubernetes]", required=False)
@FILE
@click.option("--to", "folder", metavar="FOLDER", help="Write the files there; else they are printed.")
@click.option(
    "--halves", is_flag=True, help="systemd: the proxy and each pool as services and users of their own."
)
def init(what: str | None, file: str | None, folder: str | None, halves: bool) -> int:
    """Write a first trivet.yaml from what is found here: manage.py, Flask applications, static folders.

    With a word: print what deploys FILE, fitted to it and ready to install. Nothing is overwritten.
    """
    from . import init as room

    if what is None:
        return room.init()
    from . import manifests

    if what not in manifests.KINDS:
        raise Refusal(
            f"init takes no {what!r}; it looks into this folder, or: {', '.join(manifests.KINDS)}", USAGE
        )
    return manifests.write(what, _file(file), folder, halves)


def _stop(what: str | None) -> int:
    """Ask every master that is topmost there, one after the other."""
    asked, run_dir = locate(what)
    masters = running.topmost(run_dir)
    if not masters:
        raise running.nothing_runs(asked, run_dir)
    for master in masters:
        try:
            answer = ask(master.control, {"do": "stop"}, 3600.0)
        except ControlError as error:
            raise running.unanswered(error, asked, run_dir) from None
        if not answer.get("ok"):
            raise Refusal(f"stop failed: {answer.get('problem')}")
    click.echo(f"{asked}: stopped")
    return GOOD


def _file(argument: str | None) -> str:
    return os.fspath(find_file(argument))


def _tell_usage(error: click.ClickException) -> None:
    print(f"trivet: {error.format_message()}", file=sys.stderr)
    context = getattr(error, "ctx", None)
    if context is not None:
        print(f"usage: {context.get_usage().removeprefix('Usage: ')} (--help says more)", file=sys.stderr)


def _tell_mistakes(error: Exception) -> int:
    problems: Sequence[object] = error.problems  # type: ignore[attr-defined]
    for problem in problems:
        print(problem, file=sys.stderr)
    return FAILED
