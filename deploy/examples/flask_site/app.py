"""A small Flask site showing what a front end must get right: uploads, downloads, streams, the client.

An ordinary Flask application: nothing in it knows Trivet. What it is told (address, scheme, host, request id)
stands in the WSGI environment, and there is no ProxyFix to configure.
"""

import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from flask import Flask, Response, abort, redirect, render_template, request, send_file, url_for
from werkzeug.datastructures import FileStorage
from werkzeug.utils import secure_filename
from werkzeug.wrappers import Response as AnyResponse

HERE = Path(__file__).parent
SHELF = (HERE / os.environ.get("SITE_DATA", "data")).resolve() / "files"
SHELF_PLACES = 20  # the newest uploads are kept: a demonstration must not fill anybody's disk
PIECE = 256 * 1024

app = Flask(__name__)
app.json.sort_keys = False


@app.get("/")
def home() -> str:
    """Show what there is to try."""
    return render_template("home.html", seen=what_the_application_sees())


@app.get("/whoami")
def whoami() -> Response:
    """Answer with the request as this application sees it."""
    return app.json.response(what_the_application_sees())


@app.get("/files/")
def files() -> str:
    """List the newest uploads, with the form for one more."""
    return render_template("files.html", parcels=newest_parcels(), arrived=request.args.get("arrived"))


@app.post("/files/")
def upload() -> AnyResponse:
    """Take a file from the form and show it in the list, with its digest."""
    parcel = request.files.get("file")
    if parcel is None or not parcel.filename:
        return redirect(url_for("files"), 303)
    digest, _ = put_on_shelf(parcel, parcel.filename)
    return redirect(url_for("files", arrived=digest), 303)


@app.put("/files/<name>")
def upload_raw(name: str) -> tuple[Response, int]:
    """Take a file as the bare body of a request (`curl -T`) and answer with its size and digest."""
    digest, size = put_on_shelf(request.stream, name)
    where = url_for("download", digest=digest, _external=True)
    return app.json.response(name=name, size=size, sha256=digest, url=where), 201


@app.get("/files/<digest>")
def download(digest: str) -> Response:
    """Send a file back. Flask hands it over through `wsgi.file_wrapper`."""
    found = next((path for path in parcels() if digest_of(path) == digest), None)
    if found is None:
        abort(404)
    return send_file(
        found, "application/octet-stream", as_attachment=True, download_name=name_of(found), etag=digest
    )


@app.get("/events/")
def events() -> str:
    """Show the events as they arrive."""
    return render_template("events.html")


@app.get("/events/stream")
def event_stream() -> Response:
    """Send one event a second. Each leaves at once: there is nothing to switch off, no X-Accel-Buffering."""
    count = int(bounded(request.args.get("count", 30, type=int), 1, 600))
    pause = bounded(request.args.get("every", 1.0, type=float), 0.01, 10.0)
    return Response(
        tell_time(count, pause), mimetype="text/event-stream", headers={"Cache-Control": "no-store"}
    )


@app.get("/sleep")
def sleep() -> Response:
    """Hold a slot for some seconds, so that there is something to see in `trivet status`."""
    seconds = bounded(request.args.get("seconds", 3.0, type=float), 0.0, 20.0)
    time.sleep(seconds)
    return app.json.response(slept=seconds, pid=os.getpid(), thread=threading.current_thread().name)


@app.errorhandler(404)
def not_found(_error: Exception) -> tuple[str, int]:
    """Say it in the site's own dress: this page comes from the application, not from the proxy."""
    return render_template("not_found.html"), 404


def what_the_application_sees() -> dict[str, object]:
    """Collect what this request looks like from inside."""
    return {
        "client": request.remote_addr,
        "scheme": request.scheme,
        "host": request.host,
        "url": request.url,
        "request_id": request.headers.get("X-Request-Id"),
        "worker_pid": os.getpid(),
        "thread": threading.current_thread().name,
        "threads_share_this_process": bool(request.environ["wsgi.multithread"]),
    }


def tell_time(count: int, pause: float) -> Iterator[str]:
    """Make the events, then ask the browser not to come back for more."""
    for number in range(1, count + 1):
        told = json.dumps(
            {"number": number, "of": count, "time": time.strftime("%H:%M:%S"), "pid": os.getpid()}
        )
        yield f"id: {number}\ndata: {told}\n\n"
        if number < count:
            time.sleep(pause)
    yield "event: end\ndata: {}\n\n"


def put_on_shelf(source: IO[bytes] | FileStorage, name: str) -> tuple[str, int]:
    """Keep what `source` holds and return its SHA-256 and size. The file appears whole or not at all."""
    SHELF.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile(dir=SHELF, prefix=".", delete=False) as arriving:
        try:
            while piece := source.read(PIECE):
                digest.update(piece)
                size += len(piece)
                arriving.write(piece)
            arriving.flush()
            os.rename(arriving.name, SHELF / f"{digest.hexdigest()}-{secure_filename(name)[-80:] or 'file'}")
        except BaseException:
            os.unlink(arriving.name)
            raise
    for path in parcels()[SHELF_PLACES:]:
        path.unlink(missing_ok=True)
    return digest.hexdigest(), size


def parcels() -> list[Path]:
    """List the files kept, newest first."""
    if not SHELF.is_dir():
        return []
    found = [(path.stat().st_mtime_ns, path) for path in SHELF.glob("[0-9a-f]*-*") if path.is_file()]
    return [path for _, path in sorted(found, reverse=True)]


def newest_parcels() -> list[dict[str, object]]:
    """Describe the files kept, for the page."""
    return [{"digest": digest_of(p), "name": name_of(p), "size": p.stat().st_size} for p in parcels()]


def digest_of(path: Path) -> str:
    """Read the digest off a kept file's name."""
    return path.name.partition("-")[0]


def name_of(path: Path) -> str:
    """Read the sender's name for a kept file off its name."""
    return path.name.partition("-")[2]


def bounded(value: float, low: float, high: float) -> float:
    """Keep a number from a query within reason."""
    return max(low, min(high, value))
