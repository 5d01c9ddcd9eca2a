from __future__ import annotations

import asyncio
import socket

from tests.servers.loops import PatientLoop, run_to_end


def test_a_connection_that_closes_itself_is_closed_when_the_loop_is():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        async def connect() -> asyncio.BaseTransport:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, PatientLoop)
            transport, _ = await loop.create_connection(asyncio.Protocol, *listener.getsockname())
            loop.call_later(0.05, transport.close)
            return transport

        transport = run_to_end(connect())
    assert transport.get_extra_info("socket").fileno() == -1
