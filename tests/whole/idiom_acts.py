"""What a snippet of docs/from-nginx.md does that no single request and answer shows."""

import pytest

from tests.whole.idiom_world import Telling, World
from tests.whole.running import wait_until
from trivet_common.listeners import BoundListener

INSIDE, OUTSIDE = "X-Forwarded-For: 10.1.2.3", "X-Forwarded-For: 192.0.2.7"
UPGRADE = "Connection: upgrade\nUpgrade: websocket\n"


def each_name_has_its_certificate(here: World, doors: list[BoundListener]) -> None:
    for host in ("shop.example", "blog.example"):  # or the handshake fails
        here.connect(doors[0], host).close()


def staff_alone_gets_in(here: World, doors: list[BoundListener]) -> None:
    with pytest.raises(OSError), here.connect(doors[1], "shop.example") as talk:
        talk.get("/admin/")
    with here.connect(doors[1], "shop.example", as_staff=True) as talk:
        told = talk.get("/admin/", "X-SSL-Client-S-DN: CN=root").json()
    assert told["HTTP_X_SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert "CN=ann" in told["HTTP_X_SSL_CLIENT_S_DN"]
    assert "root" not in told["HTTP_X_SSL_CLIENT_S_DN"]


def balancer_tells_the_client(here: World, doors: list[BoundListener]) -> None:
    with here.connect(doors[0], "shop.example") as talk:
        told = talk.say("PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\n").get("/").json()
    assert told["REMOTE_ADDR"] == "192.0.2.7"


def a_tunnel_opens(here: World, doors: list[BoundListener]) -> None:
    with here.connect(doors[0], "shop.example") as talk:
        talk.say(f"GET /ws/socket HTTP/1.1\nHost: shop.example\n{UPGRADE}Sec-WebSocket-Version: 13\n\n")
        assert talk.head()[1] == 101
        talk.say("hello")
        assert talk.exactly(5) == b"HELLO"


def first_event_comes_before_the_second_is_there(here: World, doors: list[BoundListener]) -> None:
    Telling.go_on.clear()
    with here.connect(doors[0], "shop.example") as talk:
        talk.say("GET /events/stream HTTP/1.1\nHost: shop.example\n\n")
        assert talk.head()[1] == 200
        assert talk.chunk() == b"data: first\n\n"
        Telling.go_on.set()
        assert talk.chunk() == b"data: second\n\n"


def body_comes_before_it_is_whole(here: World, doors: list[BoundListener]) -> None:
    """The server has the request while the client still writes it: it closes on the first half."""
    Telling.go_on.clear()
    with here.connect(doors[0], "shop.example") as talk:
        talk.say("POST /import/early HTTP/1.1\nHost: shop.example\nContent-Length: 10\n\nhello")
        assert Telling.go_on.wait(10), "nothing has reached the server"
        assert talk.say("world").answer().json()["length"] == 10


def all_servers_but_the_backup(here: World, doors: list[BoundListener]) -> None:
    with here.connect(doors[0], "shop.example") as talk:
        seen = {talk.get("/api/").json()["by"] for _ in range(12)}
    assert seen == {"8001", "8002"}


def another_server_answers(here: World, doors: list[BoundListener]) -> None:
    with here.connect(doors[0], "shop.example") as talk:
        assert [talk.get("/api/").json()["by"] for _ in range(4)] == ["8002"] * 4


def twenty_connections_and_no_more(here: World, doors: list[BoundListener]) -> None:
    busy = [here.connect(doors[0], "shop.example") for _ in range(20)]
    try:
        for talk in busy:
            talk.say("POST / HTTP/1.1\nHost: shop.example\nContent-Length: 5\nExpect: 100-continue\n\n")
            assert talk.head()[1] == 100
        with here.connect(doors[0], "shop.example") as talk:
            assert talk.answer().status == 503, "it is told at once"
        assert busy[0].say("hello").answer().status == 200
        with here.connect(doors[0], "shop.example") as talk:  # who is idle makes room
            assert talk.get("/").status == 200
    finally:
        for talk in busy:
            talk.close()


def page_comes_and_goes(here: World, doors: list[BoundListener]) -> None:
    flag = here.folder / "srv/shop/maintenance.on"
    flag.touch()
    try:
        with here.connect(doors[0], "shop.example") as talk:
            answer = wait_until(lambda: got if (got := talk.get("/", OUTSIDE)).status == 503 else None)
            assert answer.body == b"we paint the walls"
            assert answer.headers["retry-after"] == "300"
            assert talk.get("/", INSIDE).status == 200
            flag.unlink()
            wait_until(lambda: talk.get("/", OUTSIDE).status == 200)
    finally:
        flag.unlink(missing_ok=True)
