from __future__ import annotations

import pytest

from protocols.channel import MemoryChannel, run
from protocols.errors import PeerClosed
from protocols.postgres.encrypt import knock
from protocols.postgres.messages import SSLRequest


@pytest.mark.parametrize("answer", [b"S", b"N", b"E", b"H"])
def test_any_answer_to_the_question_for_tls_does(answer: bytes):
    channel = MemoryChannel(answer)
    run(knock(channel, is_direct=False))
    assert channel.sent == SSLRequest().encode()


def test_silence_does_not():
    with pytest.raises(PeerClosed):
        run(knock(MemoryChannel(b""), is_direct=False))


def test_where_tls_comes_at_once_nothing_is_said():
    channel = MemoryChannel(b"")
    run(knock(channel, is_direct=True))
    assert channel.sent == b""
