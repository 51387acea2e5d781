"""What one generation leaves to the next."""

import os
import socket
from collections.abc import Iterator

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.daemon.handover import VARIABLE, Handover, leave, receive, sockets_of

EVERYTHING = Handover(
    generation=7,
    reason="SIGUSR2",
    left_at_ms=1_760_000_000_000,
    secrets={"token": "hush"},
    journal={"version": 1, "events": ["{}"]},
)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.socket() as one, socket.socket() as other:
        yield one, other


def test_the_next_generation_receives_what_was_left() -> None:
    environ = {VARIABLE: str(leave(EVERYTHING))}

    received = receive(environ)

    assert received is not None
    assert attrs.asdict(received, recurse=False) == attrs.asdict(EVERYTHING, recurse=False)


def test_a_sandbox_that_forbids_files_in_memory_gets_one_without_a_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(*_: object) -> int:
        raise PermissionError("memfd_create")

    monkeypatch.setattr(os, "memfd_create", forbidden, raising=False)

    received = receive({VARIABLE: str(leave(EVERYTHING))})

    assert received is not None
    assert received.secrets == EVERYTHING.secrets


def test_the_variable_is_taken_away_so_that_no_child_inherits_it() -> None:
    environ = {VARIABLE: str(leave(EVERYTHING)), "PATH": "/bin"}

    receive(environ)

    assert environ == {"PATH": "/bin"}


def test_descriptors_are_private_again_once_they_are_received(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    for each in pair:
        os.set_inheritable(each.fileno(), True)
    numbers = tuple(each.fileno() for each in pair)

    receive({VARIABLE: str(leave(attrs.evolve(EVERYTHING, tcp=numbers[:1], parting=numbers[1:])))})

    assert not any(os.get_inheritable(number) for number in numbers)


def test_the_document_itself_is_private_until_the_process_becomes_the_next() -> None:
    document = leave(EVERYTHING)

    assert not os.get_inheritable(document)
    os.close(document)


def test_a_document_for_another_process_is_none() -> None:
    document = leave(EVERYTHING)
    with os.fdopen(os.dup(document), "r+b") as file:
        content = orjson.loads(file.read())
        file.seek(0)
        file.truncate()
        file.write(orjson.dumps(content | {"pid": os.getpid() + 1}))
    os.lseek(document, 0, os.SEEK_SET)

    assert receive({VARIABLE: str(document)}) is None


def test_fields_of_a_later_version_are_passed_over() -> None:
    document = leave(EVERYTHING)
    with os.fdopen(os.dup(document), "r+b") as file:
        content = orjson.loads(file.read())
        file.seek(0)
        file.write(orjson.dumps(content | {"version": 9, "invented": [1]}))
    os.lseek(document, 0, os.SEEK_SET)

    received = receive({VARIABLE: str(document)})

    assert received is not None
    assert received.generation == 7


@pytest.mark.parametrize("named", ["", "x", "-1", "0", "2", "99999", "9" * 20])
def test_a_number_that_is_no_document_is_as_none(named: str) -> None:
    assert receive({VARIABLE: named}) is None


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["pid", "generation", "tcp", "lock", "secrets", "reason"]), inner
            )
        ),
    ).map(lambda value: orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS) if _fits(value) else b"")
)
def test_whatever_a_document_holds_nothing_is_raised(content: bytes) -> None:
    document = os.memfd_create("test") if hasattr(os, "memfd_create") else pytest.skip("no memory files")
    os.write(document, content)
    os.lseek(document, 0, os.SEEK_SET)

    assert receive({VARIABLE: str(document)}) is None


def _fits(value: object) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


def test_what_is_no_socket_is_left_alone(pair: tuple[socket.socket, socket.socket]) -> None:
    with open(os.devnull) as other:  # noqa: PTH123  a descriptor is what matters
        found = sockets_of([other.fileno(), os.dup(pair[0].fileno()), 99_999])

    assert [each.family for each in found] == [socket.AF_INET]
    for each in found:
        each.close()
