"""What the death, the restart and the silence of a data source's server cost its clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.errors import Reason
from tests.conformance.driver import Told
from tests.conformance.postgres import PostgresDriver
from tests.conftest import PostgresFactory
from tests.faults.scene import DIRECT, Scene, raised
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="module")
def server(postgres_factory: PostgresFactory) -> Iterator[PostgresServer]:
    """A server to kill and freeze; each test leaves it running."""
    server = postgres_factory()
    # Off for the tests' servers: what was answered would then be lost with a killed one.
    server.configure(synchronous_commit="on")
    yield server
    server.remove()


@pytest.fixture(scope="module")
def scene(
    server_folder: Path,
    certificates: Certificates,
    server: PostgresServer,
    postgres: PostgresServer,
) -> Iterator[Scene]:
    driver = PostgresDriver(server)
    with raised(server_folder / "restart", certificates, driver, beside=postgres) as scene:
        yield scene


def refusal(scene: Scene) -> str:
    with pytest.raises(Told) as told:
        scene.session(DIRECT)
    return told.value.code


def test_a_killed_server_costs_each_of_its_sessions_one_error(scene: Scene, server: PostgresServer):
    with scene.load() as load:
        server.kill()
        try:
            load.wait_until_failed()
            assert refusal(scene) == scene.code(Reason.SOURCE_UNREACHABLE)
        finally:
            server.start()
        load.resume()
        load.wait_for_more()
    # A server process that outlives the others for a moment may say 57P01 itself.
    assert load.codes() <= {scene.code(Reason.SOURCE_LOST), "57P01"}
    assert [len(writer.failures) for writer in load.writers] == [1] * len(load.writers)


def test_a_restarted_server_tells_each_of_its_sessions_why(scene: Scene, server: PostgresServer):
    with scene.load() as load:
        server.restart()
        load.wait_until_failed()
        load.resume()
        load.wait_for_more()
    for writer in load.writers:
        # admin_shutdown, in the server's own words.
        assert [failure.code for failure in writer.failures] == ["57P01"]


def test_a_stopped_server_costs_new_sessions_only_and_running_ones_time(
    scene: Scene, server: PostgresServer
):
    with scene.load() as load:
        server.freeze()
        try:
            assert refusal(scene) == scene.code(Reason.SOURCE_UNREACHABLE)
        finally:
            server.thaw()
        load.wait_for_more()
    assert load.failures() == []
