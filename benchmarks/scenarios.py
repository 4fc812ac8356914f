"""The scenarios as a table: what is asked, of which application, how often at a time, and who is compared."""

from dataclasses import dataclass, field

from benchmarks.wrk import Asked

KIB, MIB = 1024, 1024 * 1024
WHOLE = (
    "trivet", "trivet-proxy+gunicorn", "nginx+trivet-pool", "nginx+gunicorn", "nginx+gthread",
    "haproxy+gunicorn", "caddysnake", "caddy+gunicorn", "granian", "gunicorn", "waitress",
)  # fmt: skip
FRONTS = ("trivet", "nginx+gunicorn", "nginx+gthread", "caddy+gunicorn", "caddysnake", "granian")
FILES = ("trivet", "nginx", "caddy")
EVENTS = ("trivet-proxy+uvicorn", "nginx+uvicorn", "caddy+uvicorn", "uvicorn")

# What a browser sends with a page's own requests: 16 headers with Host, some 800 bytes.
BROWSER = (
    ("Connection", "keep-alive"),
    ("Cache-Control", "max-age=0"),
    ("sec-ch-ua", '"Chromium";v="130", "Not?A_Brand";v="99"'),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", '"Linux"'),
    ("Upgrade-Insecure-Requests", "1"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-User", "?1"),
    ("Sec-Fetch-Dest", "document"),
    ("Referer", "http://shop.example.com/catalogue/chairs/?page=3&sort=price&colour=oak"),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.7"),
    (
        "Cookie",
        "csrftoken=4mVpTq0sWcXo3hYk7ZrB1nUfGdLe; sessionid=x8w2k5v0q7m3c9t1z6b4h2j8f5d7s0; _ga=GA1.1.214.173",
    ),
)  # fmt: skip
# So many clients ask in turn, each with a cookie, a browser and a page of its own: what Trivet remembers of
# heads that it has seen must not be flattered by a load generator that sends the same bytes for ever.
HEADS = 20_000
CLOSE = (("Connection", "close"),)


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    stacks: tuple[str, ...] = FRONTS
    baseline: str = "nginx+gunicorn"
    kind: str = "load"  # load, mixed, idle, events, start
    app: str = "bare:application"
    asked: Asked = field(default_factory=Asked)
    status: int = 200
    size: int | None = None  # of the answer's body, in bytes
    is_conditional: bool = False  # asked with the validators of an answer before
    keeps_cookies: bool = False
    processes: int = 2
    workers: int = 2
    others: int = 0  # connections beside those that are measured
    unit: str = "request"
    needs: tuple[str, ...] = ()


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("hello", "Bare WSGI, 14 bytes", (*WHOLE, "nginx+trivet-slots"), size=14),
        Scenario("flask", "Flask, 14 bytes", WHOLE, app="flask_hello:application", size=14, needs=("flask",)),
        Scenario(
            "django",
            "Django: a template and a session",
            WHOLE,
            app="django_page:application",
            needs=("django",),
            keeps_cookies=True,
        ),
        Scenario(
            "browser",
            "Bare WSGI, a browser's 16 headers",
            (*FRONTS, "trivet-proxy+gunicorn", "haproxy+gunicorn"),
            asked=Asked(headers=BROWSER),
            size=14,
        ),
        Scenario(
            "various",
            "Bare WSGI, each request's head another",
            (*FRONTS, "trivet-proxy+gunicorn"),
            asked=Asked("/?page=1", headers=BROWSER, heads=HEADS),
            size=14,
        ),
        Scenario("post10k", "POST 10 KiB", asked=Asked("/post", "POST", body=10 * KIB), size=6),
        Scenario(
            "post1m",
            "POST 1 MiB",
            asked=Asked("/post", "POST", body=MIB, connections=16),
            size=8,
        ),
        Scenario(
            "answer100k",
            "An application's answer of 100 KiB",
            asked=Asked(f"/answer/{100 * KIB}"),
            size=100 * KIB,
        ),
        Scenario(
            "answer10m",
            "An application's answer of 10 MiB",
            asked=Asked(f"/answer/{10 * MIB}", connections=8),
            size=10 * MIB,
        ),
        Scenario(
            "events",
            "Server-sent events to 1 000 clients",
            EVENTS,
            "nginx+uvicorn",
            "events",
            app="events:application",
            others=1000,
            unit="event",
        ),
        Scenario("static", "A file of 1 KiB", FILES, "nginx", asked=Asked("/static/one.txt"), size=KIB),
        Scenario(
            "staticbrowser",
            "A file of 1 KiB, a browser's 16 headers",
            FILES,
            "nginx",
            asked=Asked("/static/one.txt", headers=BROWSER),
            size=KIB,
        ),
        Scenario(
            "staticvarious",
            "A file of 1 KiB, each request's head another",
            FILES,
            "nginx",
            asked=Asked("/static/one.txt?v=1", headers=BROWSER, heads=HEADS),
            size=KIB,
        ),
        Scenario(
            "static100k",
            "A file of 100 KiB",
            FILES,
            "nginx",
            asked=Asked("/static/middle.bin"),
            size=100 * KIB,
        ),
        Scenario(
            "large", "A file of 10 MiB", FILES, "nginx", asked=Asked("/static/large.bin"), size=10 * MIB
        ),
        Scenario(
            "unchanged",
            "A file of 1 KiB that the client has (304)",
            FILES,
            "nginx",
            asked=Asked("/static/one.txt"),
            status=304,
            size=0,
            is_conditional=True,
        ),
        Scenario("closing", "A new connection for each request", asked=Asked(headers=CLOSE), size=14),
        Scenario("hello512", "Bare WSGI, 512 connections", asked=Asked(connections=512), size=14),
        Scenario(
            "wide",
            "Bare WSGI, 4 proxy processes and 16 workers",
            asked=Asked(connections=256),
            size=14,
            processes=4,
            workers=16,
        ),
        Scenario(
            "mixed",
            "Fast requests while two of four workers have slow ones (50 ms)",
            (*FRONTS, "gunicorn", "waitress"),
            kind="mixed",
            asked=Asked(connections=32),
            size=14,
            workers=4,
            others=2,
        ),
        Scenario(
            "idle",
            "32 busy connections beside 8 000 idle ones",
            ("trivet", "nginx+gunicorn", "caddy+gunicorn", "granian"),
            kind="idle",
            asked=Asked(connections=32),
            size=14,
            others=8000,
        ),
        Scenario(
            "start",
            "From the start to the first answer",
            ("trivet", "nginx+gunicorn", "granian", "gunicorn"),
            kind="start",
            size=14,
            processes=1,
        ),
    )
}
