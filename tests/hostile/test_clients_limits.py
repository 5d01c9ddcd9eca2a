"""A flood of connections: who is over the limit is told 53300, and nobody else suffers.

The limits themselves are in tests/conformance.
"""

from __future__ import annotations

from contextlib import ExitStack

from tests.hostile.stage import Stage


def test_a_flood_of_connections_leaves_open_sessions_and_descriptors_alone(stage: Stage):
    with ExitStack() as stack:
        clients = [stack.enter_context(stage.client()) for _ in range(150)]
        assert stage.bystander is not None
        assert stage.bystander.value("SELECT 5") == "5"
        # The limit of one address is 100: the rest is told and let go.
        assert {client.refusal().code for client in clients[100:]} == {"53300"}
