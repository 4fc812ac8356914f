import pytest

from trivet_common.config import ConfigError, from_mapping


def hsts_of(written: object, default: object = None) -> str | None:
    defaults = {} if default is None else {"defaults": {"hsts": default}}
    route = {"path": "/", "respond": "x"} | ({} if written is None else {"hsts": written})
    return from_mapping({"routes": [route], **defaults}, environ={}).routes[0].hsts


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (None, None),
        ("off", None),
        (False, None),
        ("1y", "max-age=31536000"),
        ("30d", "max-age=2592000"),
        ("0s", "max-age=0"),
        ({"age": "1h", "subdomains": True}, "max-age=3600; includeSubDomains"),
        (
            {"age": "2y", "subdomains": True, "preload": True},
            "max-age=63072000; includeSubDomains; preload",
        ),
    ],
)
def test_what_is_written_and_what_is_sent(written: object, text: str | None) -> None:
    assert hsts_of(written) == text


def test_a_route_stands_above_the_defaults() -> None:
    assert hsts_of(None, "1y") == "max-age=31536000"
    assert hsts_of("off", "1y") is None


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("365", "write"),
        ("for ever", "hsts"),
        ({"subdomains": True}, "age is missing"),
        ({"age": "1y", "preload": True}, "browsers preload only a year or more"),
        ({"age": "30d", "subdomains": True, "preload": True}, "browsers preload only a year or more"),
    ],
)
def test_mistakes(written: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        hsts_of(written)


def test_a_route_for_one_scheme_does_not_hide_the_rest() -> None:
    routes = [{"scheme": "http", "redirect": "https://a.example{uri}"}, {"path": "/", "respond": "x"}]
    assert [route.scheme for route in from_mapping({"routes": routes}, environ={}).routes] == ["http", None]
    with pytest.raises(ConfigError, match="can never match"):
        from_mapping({"routes": [*routes, {"scheme": "http", "path": "/a", "respond": "x"}]}, environ={})
