"""Two hundred clients at once on two slots: everyone gets the answer to the own request."""

import threading
from pathlib import Path

from tests.whole.running import running
from tests.whole.talking import Talk

NAMING = """
def application(environ, start_response):
    name = environ["PATH_INFO"] + "?" + environ["QUERY_STRING"]
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Name", environ["HTTP_X_NAME"])])
    return [name.encode(), b" ", body]
"""
CLIENTS, REQUESTS = 200, 5


def test_each_of_200_clients_on_two_slots_gets_its_own(tmp_path: Path) -> None:
    wrong: list[str] = []
    right: list[int] = []
    together = threading.Barrier(CLIENTS)

    def ask_in_turn(address: tuple[str, int], client: int) -> None:
        try:
            with Talk(address, patience=20) as talk:
                together.wait(20)
                for n in range(REQUESTS):
                    body = f"body of {client}.{n} " * (n * 500)
                    method = "POST" if body else "GET"
                    talk.say(
                        f"{method} /client/{client}?n={n} HTTP/1.1\nHost: a.example\nX-Name: {client}.{n}\n"
                        f"Content-Length: {len(body)}\n\n{body}"
                    )
                    answer = talk.answer()
                    expected = f"/client/{client}?n={n} {body}".encode()
                    is_right = answer.body == expected and answer.headers.get("x-name") == f"{client}.{n}"
                    (right if is_right else wrong).append(client)
        except Exception as error:
            wrong.append(f"{client}: {error!r}")

    config = "pools: {web: {app: naming, workers: 2, threads: 1, queue: {limit: 1000, timeout: 20s}}}\n"
    with running(tmp_path, config, naming=NAMING) as site:
        clients = [threading.Thread(target=ask_in_turn, args=(site.address, n)) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(30)
    assert wrong == []
    assert len(right) == CLIENTS * REQUESTS
