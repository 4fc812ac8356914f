"""The sets of field names: in lower case, and not at odds with one another."""

from trivet_common.http1 import fields, grammar


def test_all_names_are_plain() -> None:
    for name in fields.REBUILT | fields.NOT_NOMINATED | fields.REFUSED_NAMES | fields.JUDGED | fields.COMMON:
        assert grammar.is_plain_name(name), name


def test_what_is_waved_through_is_neither_judged_nor_refused() -> None:
    assert not fields.COMMON & (fields.JUDGED | fields.REFUSED_NAMES | fields.NOT_NOMINATED)
    assert not any(name.startswith(fields.REFUSED_PREFIXES) for name in fields.COMMON)


def test_what_frames_a_message_is_never_sent_on() -> None:
    assert fields.HOP_BY_HOP < fields.REBUILT
    assert fields.REBUILT >= fields.NOT_NOMINATED
