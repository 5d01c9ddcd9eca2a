"""Whether a server takes changes, as its variables say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocols.channel import MemoryChannel, run
from protocols.errors import PeerClosed, PeerViolation, UpstreamRefused
from protocols.mysql.framing import frame
from protocols.mysql.messages import Err
from protocols.mysql.role import check_role, learn_role
from protocols.roles import ServerRole
from tests.protocols.mysql.test_reset import packets, result, settings, upstream

READING = ServerRole(is_read_only=True)
WRITING = ServerRole(is_read_only=False)


def learn(incoming: bytes, *, has_eof: bool = False) -> ServerRole:
    channel = MemoryChannel(incoming)
    role = run(learn_role(channel, settings(has_eof=has_eof)))
    assert channel.sent == frame(b"\x03SELECT @@GLOBAL.read_only, @@GLOBAL.innodb_read_only", 0)
    assert not channel.incoming
    return role


@pytest.mark.parametrize("has_eof", [True, False])
@pytest.mark.parametrize(
    ("values", "role"),
    [
        ((b"0", b"0"), WRITING),
        ((b"1", b"0"), READING),
        ((b"0", b"1"), READING),
        ((b"OFF", b"0"), WRITING),
        ((b"NO_LOCK_NO_ADMIN", b"0"), READING),
    ],
)
def test_what_the_variables_say(values: tuple[bytes, bytes], role: ServerRole, has_eof: bool):
    assert learn(result(values, has_eof=has_eof), has_eof=has_eof) == role


@pytest.mark.parametrize("values", [(b"2", b"0"), (None, b"0"), (b"0",), (b"0", b"0", b"0")])
def test_nonsense_breaks_the_protocol(values: tuple[bytes | None, ...]):
    with pytest.raises(PeerViolation, match="did not say what it is"):
        learn(result(values))


def test_a_server_without_the_variable_refuses():
    error = Err(1193, b"HY000", b"Unknown system variable").encode()
    with pytest.raises(UpstreamRefused):
        learn(packets(error))


def test_an_answer_cut_anywhere_is_a_closed_connection():
    whole = result((b"0", b"0"))
    for length in range(len(whole)):
        with pytest.raises(PeerClosed):
            learn(whole[:length])


def test_a_kept_session_s_server_must_still_be_what_it_was():
    kept = replace(upstream(settings()), role=WRITING)
    run(check_role(MemoryChannel(result((b"0", b"0"))), kept))
    with pytest.raises(PeerViolation, match="no longer"):
        run(check_role(MemoryChannel(result((b"1", b"0"))), kept))


def test_where_nobody_asked_nothing_is_asked():
    channel = MemoryChannel(b"")
    run(check_role(channel, upstream(settings())))
    assert channel.sent == b""
