"""What an operator hears of headers that were left out."""

from trivet_common.http1.request import HeadLimits, RequestHead, parse_request_head
from trivet_proxy.complaints import Complaints
from trivet_proxy.omissions import Omissions


class Heard(list[str]):
    def __init__(self) -> None:
        self.now = 0.0
        self.omissions = Omissions(Complaints(self.append, lambda: self.now))


def head(*lines: str) -> RequestHead:
    text = "\r\n".join(["GET / HTTP/1.1", "Host: a", *lines, "", ""])
    return parse_request_head(text.encode(), HeadLimits(8192, 50))


def test_a_dropped_name_is_told_once_an_hour() -> None:
    heard = Heard()
    request = head("X_Forwarded_For: 1.2.3.4")
    for heard.now in (1.0, 2.0, 3599.0, 3700.0):
        heard.omissions.tell_names(request, heard.now)
    assert len(heard) == 2
    assert "x_forwarded_for was dropped" in heard[0]
    assert "x-forwarded-for" in heard[0]


def test_made_up_names_do_not_fill_the_log() -> None:
    heard = Heard()
    for number in range(1000):
        heard.omissions.tell_names(head(f"x_{number}: 1"), 5.0)
    assert len(heard) == 32


def test_a_proxy_nobody_told_us_of_is_named_once_a_minute() -> None:
    heard = Heard()
    for heard.now in (1.0, 30.0, 62.0):
        heard.omissions.tell_unbelieved(head("X-Forwarded-For: 1.2.3.4"), "10.0.0.7")
    heard.omissions.tell_unbelieved(head("User-Agent: x"), "10.0.0.8")
    assert len(heard) == 2
    assert "trusted_proxies: [10.0.0.7]" in heard[0]
