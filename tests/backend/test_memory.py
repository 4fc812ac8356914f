"""What this process holds for itself alone: exactly, and guessed for next to nothing."""

import os

from trivet_backend.memory import PrivateMemory

MIB = 1 << 20


def held(mib: int) -> bytearray:
    """Touched pages: a page that nobody wrote is nobody's."""
    return bytearray(b"x" * (mib * MIB))


def test_what_is_taken_is_seen_by_both() -> None:
    memory = PrivateMemory()
    exact, guess = memory.measure(), memory.guess()
    assert abs(exact - guess) < MIB
    taken = held(40)
    assert 35 * MIB < memory.measure() - exact < 60 * MIB
    assert 35 * MIB < memory.guess() - guess < 60 * MIB
    del taken
    assert "MiB" in repr(memory)
    memory.close()
    memory.close()


def test_what_is_shared_with_a_template_does_not_count_until_it_is_written() -> None:
    taken = held(40)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            memory = PrivateMemory()
            before = memory.measure(), memory.guess()
            for page in range(0, len(taken), 4096):
                taken[page] = 1
            after = memory.measure(), memory.guess()
            os.write(writer, " ".join(map(str, [*before, *after])).encode())
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    exact, guess, later, guess_later = map(int, os.read(reader, 200).split())
    os.close(reader)
    os.close(writer)
    assert abs(exact - guess) < 2 * MIB
    assert later - exact > 35 * MIB
    assert abs(later - guess_later) < 2 * MIB  # measured again, it guesses right


def test_an_application_may_close_or_take_its_descriptor() -> None:
    memory = PrivateMemory()
    guess = memory.guess()
    os.close(memory._fd)
    assert abs(memory.guess() - guess) < MIB
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, memory._fd)
    stolen = memory._fd
    assert abs(memory.guess() - guess) < MIB
    os.close(null)
    os.close(stolen)
    memory.close()


def test_it_costs_little() -> None:
    """No file is opened for a guess."""
    memory = PrivateMemory()
    memory.guess()
    before = memory._fd
    for _ in range(100):
        memory.guess()
    assert memory._fd == before
    memory.close()
