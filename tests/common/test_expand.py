"""`${NAME}` in values."""

import pytest

from trivet_common.config import ConfigError, from_mapping
from trivet_common.config.expand import expanded
from trivet_common.config.problems import Mistake

ENVIRON = {"A": "one", "EMPTY": "", "EVIL": "x: [${A}]"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("a ${A}-${A} b", "a one-one b"),
        ("${B:-two}", "two"),
        ("${A:-two}", "one"),
        ("${EMPTY:-two}", "two"),
        ("${EMPTY}", ""),
        ("${B:-}", ""),
        ("$A $ {A} ${A", None),
        ("$${A}", "${A}"),
        ("$$", "$$"),
        ("${EVIL}", "x: [${A}]"),
        ("${B}", None),
        ("${}", None),
        ("${1}", None),
        ("${A:+x}", None),
    ],
)
def test_expansion(text: str, value: str | None) -> None:
    if value is None:
        with pytest.raises(Mistake):
            expanded(text, ENVIRON)
    else:
        assert expanded(text, ENVIRON) == value


def test_a_value_that_is_a_variable_takes_the_fields_type() -> None:
    keys = {"app": "${APP}", "workers": "${N}", "timeout": "${T:-off}", "env": {"KEY": "${N}"}}
    pool = from_mapping({"pools": {"web": keys}}, environ={"APP": "shop", "N": "3"}).pools["web"]
    assert (pool.app, pool.workers.max, pool.timeout, pool.env) == ("shop", 3, None, {"KEY": "3"})


def test_what_a_variable_may_not_grow_to() -> None:
    with pytest.raises(ConfigError, match="longer than 256 KiB"):
        from_mapping({"pools": {"web": {"app": "${A}" * 100}}}, environ={"A": "a" * 4096})
