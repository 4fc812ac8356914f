"""A reload over several processes: all or none."""

from __future__ import annotations

import pickle

import pytest

from trivet_common.config import from_mapping
from trivet_proxy.rollover import Rollover

SETTINGS = from_mapping({"routes": [{"path": "/", "respond": "x"}]})


class FakeChild:
    def __init__(self, index):
        self.index = index
        self.told = []

    def tell(self, message):
        self.told.append(message.partition(b" ")[0])


class Case:
    def __init__(self, count):
        self.children = [FakeChild(index) for index in range(count)]
        self.outcomes = []
        self.rollover = Rollover(SETTINGS, self.children, self.ask, self.outcomes.append)
        self.rollover.begin()

    def ask(self, child, message):
        assert pickle.loads(message.partition(b" ")[2]) == SETTINGS
        child.tell(message)

    def told(self):
        return [child.told for child in self.children]


def test_all_switch_once_all_have_taken_it():
    case = Case(2)
    case.rollover.heard(case.children[1], None)
    assert case.outcomes == []
    assert case.told() == [[b"reload"], [b"reload"]]
    case.rollover.heard(case.children[0], None)
    assert case.outcomes == [None]
    assert case.told() == [[b"reload", b"switch"]] * 2
    case.rollover.expire()  # its timer comes later
    assert case.outcomes == [None]


@pytest.mark.parametrize("first_says_yes", [True, False])
def test_one_no_and_all_drop_it(first_says_yes):
    case = Case(3)
    if first_says_yes:
        case.rollover.heard(case.children[0], None)
    case.rollover.heard(case.children[1], "no such folder")
    case.rollover.heard(case.children[2], None)
    assert case.outcomes == ["no such folder"]
    assert case.told() == [[b"reload", b"drop"]] * 3


def test_one_that_says_nothing():
    case = Case(2)
    case.rollover.heard(case.children[0], None)
    case.rollover.expire()
    assert case.outcomes == ["proxy process 1 did not take it within 10 s"]
    assert case.told() == [[b"reload", b"drop"]] * 2
    case.rollover.heard(case.children[1], None)
    assert len(case.outcomes) == 1


def test_one_that_dies():
    case = Case(2)
    case.rollover.lost(FakeChild(7), "a stranger ended")
    case.rollover.lost(case.children[0], "proxy process 0 ended (signal 11)")
    assert case.outcomes == ["proxy process 0 ended (signal 11) during the reload"]
    assert case.children[1].told == [b"reload", b"drop"]


def test_one_that_is_started_meanwhile_is_asked_too():
    case = Case(1)
    newcomer = FakeChild(1)
    case.rollover.joined(newcomer)
    case.rollover.heard(case.children[0], None)
    assert case.outcomes == []
    case.rollover.heard(newcomer, None)
    assert case.outcomes == [None]
    assert newcomer.told == [b"reload", b"switch"]


def test_nobody_to_ask():
    assert Case(0).outcomes == [None]
