"""Sockets of a process that cannot serve them: lent, taken back, and shut when all leave."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from trivet_common.config.addresses import Listen
from trivet_common.listeners import BoundListener, Listeners
from trivet_proxy.custody import Custody


class FakeChild:
    def __init__(self, index):
        self.index = index
        self.told = []

    def tell(self, message):
        self.told.append(message)


@dataclass
class FakeSocket:
    is_shut: bool = False
    has_inflow: bool = True
    family = socket.AF_INET

    def setsockopt(self, level, option, value):
        self.has_inflow = False

    def shutdown(self, how):
        assert how == socket.SHUT_RDWR
        if self.is_shut:
            raise OSError
        self.is_shut = True


def listeners_of(kind, count):
    def bound():
        return BoundListener(Listen("x", kind), FakeSocket(), count == 1, is_foreign=kind == "fd")

    return Listeners([[bound() for _ in range(count)]])


def test_lent_to_one_sibling_and_taken_back():
    one, two, three = children = [FakeChild(index) for index in range(3)]
    custody = Custody(listeners_of("tcp", 3), 3)
    custody.lend(0, children)
    custody.lend(0, children)
    assert (one.told, two.told, three.told) == ([], [b"adopt 0"], [])
    custody.take_back(0)
    custody.take_back(0)
    assert two.told == [b"adopt 0", b"return 0"]


def test_the_sibling_dies_too():
    one, two, three = [FakeChild(index) for index in range(3)]
    custody = Custody(listeners_of("tcp", 3), 3)
    custody.lend(0, [two, three])
    custody.replace(one, [two, three])
    assert three.told == []
    custody.replace(two, [three])
    assert three.told == [b"adopt 0"]


def test_nobody_to_lend_to():
    custody = Custody(listeners_of("tcp", 1), 1)
    custody.lend(0, [FakeChild(0)])
    custody.lend(0, [])
    custody.take_back(0)
    assert repr(custody) == "<Custody lent=[] closed=[]>"


def test_own_sockets_are_shut_one_by_one_shared_ones_after_the_last():
    own, shared, adopted = listeners_of("tcp", 2), listeners_of("tcp", 1), listeners_of("fd", 1)
    for listeners, after_one, after_both in (
        (own, [True, False], [True, True]),
        (shared, [False], [True]),
        (adopted, [False], [False]),
    ):
        custody = Custody(listeners, 2)
        sockets = [listeners.for_process(index)[0].socket for index in range(len(after_one))]
        custody.shut(0)
        assert [sock.is_shut for sock in sockets] == after_one
        custody.shut(0)
        custody.shut(1)
        assert [sock.is_shut for sock in sockets] == after_both


def test_when_all_leave_nobody_new_comes_in_but_where_others_serve_too():
    for kind, count, goes_on in (("tcp", 2, False), ("tcp", 1, False), ("fd", 1, True)):
        listeners = listeners_of(kind, count)
        Custody(listeners, 2).end_inflow()
        assert [one.socket.has_inflow for one in listeners.every()] == [goes_on] * count
