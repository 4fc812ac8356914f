"""Prepares the two example sites and serves them: what `make demo` runs.

All that is written goes below /demo/ at the top of the clone, which git ignores. Preparing is skipped when
nothing it depends on has changed, so that a second start is quick.
"""

import errno
import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent
DEMO = EXAMPLES.parents[1] / "demo"
SHOP = EXAMPLES / "django_shop"
STAMP = DEMO / "prepared"
ANOTHER = "make demo PORT={}"

MAKE_USER = """
from django.contrib.auth import get_user_model
users = get_user_model().objects
if not users.filter(username="demo").exists():
    users.create_superuser("demo", "demo@example.com", "demo")
"""


def main() -> int:
    """Check, prepare, explain, become `trivet serve`."""
    try:
        port = read_port(os.environ.get("PORT", "8000"))
        refuse_taken(port)
        prepare()
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 1
    explain(port)
    trivet = Path(sys.executable).with_name(
        "trivet"
    )  # not resolved: the link in the venv has trivet beside it
    file = os.path.relpath(EXAMPLES / "demo.yaml")  # as one would write it here
    os.execve(trivet, [str(trivet), "serve", file], os.environ | {"PORT": str(port)})


class Refusal(Exception):
    """One sentence for the user: why the demonstration cannot start, and what to do."""


def read_port(text: str) -> int:
    """Read the port out of what make passed on."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise Refusal(
            f"PORT={text} is not a port; choose one from 1 to 65535, for instance {ANOTHER.format(8001)}"
        )
    return int(text)


def refuse_taken(port: int) -> None:
    """Find out by binding, before anything is prepared or printed."""
    try:
        bind_once(port)
    except OSError as error:
        why = {errno.EADDRINUSE: "is taken", errno.EACCES: "needs more rights than you have"}
        said = why.get(error.errno or 0, f"cannot be used ({error.strerror})")
        another = ANOTHER.format(free_port(above=max(port, 8000)))
        raise Refusal(f"Port {port} {said}; choose another: {another}") from None


def bind_once(port: int) -> None:
    """Bind as a server would: a port that only lingers from an earlier connection is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        probe.listen(1)


def free_port(above: int) -> int:
    """Find a neighbour that is free, so that the advice works."""
    for port in range(above + 1, min(above + 50, 65536)):
        try:
            bind_once(port)
        except OSError:
            continue
        return port
    return 8001


def prepare() -> None:
    """Migrate, collect static files, make the user; each does nothing when it has been done."""
    state = fingerprint()
    if STAMP.is_file() and STAMP.read_text() == state and (DEMO / "shop" / "shop.sqlite3").is_file():
        return
    print("Preparing the example sites ...", flush=True)
    try:
        (DEMO / "site").mkdir(parents=True, exist_ok=True)
        (DEMO / "shop").mkdir(exist_ok=True)
    except OSError as error:
        raise Refusal(
            f"The example sites keep their data in {DEMO}, which cannot be made: {error.strerror}"
        ) from None
    manage("migrate", "--noinput", "--verbosity", "0")
    manage("collectstatic", "--noinput", "--verbosity", "0")
    manage("shell", "--command", MAKE_USER)
    STAMP.write_text(state)


def fingerprint() -> str:
    """Sum up what preparing depends on: the project's files and Django's version (its installed folder)."""
    sum_up = hashlib.sha256()
    for path in sorted([*SHOP.rglob("*.py"), *SHOP.rglob("*.css")]):
        sum_up.update(f"{path.relative_to(SHOP)} {path.stat().st_mtime_ns} {path.stat().st_size}\n".encode())
    for folder in map(Path, sys.path):
        sum_up.update(
            "\n".join(sorted(str(found) for found in folder.glob("[Dd]jango-*.dist-info"))).encode()
        )
    return sum_up.hexdigest()


def manage(*arguments: str) -> None:
    """Run Django's command for the shop; its output is shown when it fails."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=SHOP,
        env=os.environ | {"SHOP_DATA": str(DEMO / "shop")},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    if done.returncode:
        raise Refusal(
            f"{done.stdout}\nThe Django shop could not be prepared: manage.py {arguments[0]} failed (above)"
        )


def explain(port: int) -> None:
    """Say where to look and what to try."""
    url = f"http://127.0.0.1:{port}"
    print(
        f"""
  {url}/                   a Flask site: uploads, downloads, events, what the application sees
  {url}/admin-demo/        a Django shop, mounted below a path: catalogue and order form
  {url}/admin-demo/admin/  its admin; log in as demo, password demo

  In a second terminal: .venv/bin/trivet status deploy/examples/demo.yaml
""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
