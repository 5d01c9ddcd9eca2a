"""The network fails, before the proxy and behind it, in both protocols, pooled and not.

What holds each time is checked by the scene: everybody else is served, nothing hangs, nothing
is left behind, and server, audit log and clients tell the same of every statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.errors import Reason
from tests.conformance.driver import Driver, Told
from tests.conformance.fixtures import driver
from tests.faults.relay import DRIP, HOLD, Delay, Flip, Way
from tests.faults.scene import DIRECT, KEPT, Scene, raised
from tests.servers.certificates import Certificates
from tests.servers.waiting import wait_until

__all__ = ["driver"]  # a fixture, seen by pytest where it is named here

BOTH_WAYS = pytest.mark.parametrize("way", list(Way))


@pytest.fixture(scope="module")
def scene(server_folder: Path, certificates: Certificates, driver: Driver) -> Iterator[Scene]:
    with raised(server_folder / f"network-{driver.name}", certificates, driver) as scene:
        yield scene


# --- what is only slow ------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Delay(0.03), DRIP], ids=["delay", "byte at a time"])
def test_slow_networks_cost_time_and_no_session(scene: Scene, fault: Delay):
    with scene.load(tls=True) as load:
        scene.clients.fail(fault)
        scene.source.fail(fault)
        load.wait_for_more(3)
        # Also a login, which has many steps.
        for source in (KEPT, DIRECT):
            with scene.session(source) as session:
                assert session.value("SELECT 'slow'") == "slow"
    assert load.failures() == []


# --- between the clients and the proxy ----------------------------------------------------------


def test_clients_that_are_reset_cost_nobody_else_anything(scene: Scene):
    with scene.load() as load:
        scene.clients.reset()
        load.wait_until_failed()
        load.resume()
        load.wait_for_more()
    assert load.codes() == {"closed"}


@BOTH_WAYS
def test_clients_with_one_direction_closed_are_let_go(scene: Scene, way: Way):
    with scene.load() as load:
        scene.clients.half_close(way)
        load.wait_until_failed()
        load.resume()
        load.wait_for_more()
    assert load.codes() == {"closed"}


@BOTH_WAYS
def test_clients_in_a_black_hole_are_let_go_at_the_idle_timeout(scene: Scene, way: Way):
    with scene.load(patience=1.0) as load:
        scene.clients.fail(HOLD, way)
        load.wait_until_failed()
        assert load.codes() == {"silence"}
        # Nobody heals it: what the proxy learns, it learns by itself.
        wait_until(lambda: scene.sessions() == 1, what="all sessions but the bystander's to end")


def test_logins_in_a_black_hole_are_given_up_at_their_deadline(scene: Scene):
    scene.clients.fail(HOLD, Way.UP)
    with scene.driver.connect(scene.clients.port):
        wait_until(lambda: scene.logins() == 1, what="the connection to be taken")
        wait_until(lambda: scene.logins() == 0, what="the login to be given up")
    scene.clients.heal()
    scene.nothing_is_left()


def test_a_flipped_bit_inside_tls_ends_the_session_and_changes_nothing(scene: Scene):
    with scene.load(tls=True) as load:
        scene.clients.fail(Flip(9), Way.UP)
        load.wait_until_failed()
        scene.clients.heal()
        load.resume()
        load.wait_for_more()
    assert load.codes() == {"closed"}


def test_a_flipped_bit_in_plain_text_ends_at_most_its_session(scene: Scene):
    with scene.load(patience=3.0) as load:
        # PostgreSQL: another message; MySQL: another length.
        scene.clients.fail(Flip(0), Way.UP)
        load.wait_until_failed()
        scene.clients.heal()
        load.resume()
        load.wait_for_more()


# --- between the proxy and the server --------------------------------------------------------


def test_a_lost_server_connection_is_one_clear_error_and_the_next_session_works(scene: Scene):
    with scene.load() as load:
        scene.source.reset()
        load.wait_until_failed()
        load.resume()
        load.wait_for_more()
    assert load.codes() == {scene.code(Reason.SOURCE_LOST)}
    assert {failure.text for failure in load.failures()} == {
        "the data source closed the connection"
    }


@BOTH_WAYS
def test_a_server_with_one_direction_closed_is_a_lost_one(scene: Scene, way: Way):
    with scene.load() as load:
        scene.source.half_close(way)
        load.wait_until_failed()
        load.resume()
        load.wait_for_more()
    assert load.codes() == {scene.code(Reason.SOURCE_LOST)}


def test_a_flipped_bit_on_the_way_from_the_server_is_a_lost_connection(scene: Scene):
    with scene.load() as load:
        scene.source.fail(Flip(9), Way.DOWN)
        load.wait_until_failed()
        scene.source.heal()
        load.resume()
        load.wait_for_more()
    assert load.codes() == {scene.code(Reason.SOURCE_LOST)}


def test_a_server_that_resets_every_login_is_unreachable_and_kept_connections_serve(scene: Scene):
    with scene.load() as load:
        scene.source.reset()
        scene.source.refuse()
        load.wait_until_failed()
        load.resume()
        load.wait_until_failed(2)
        scene.source.heal()
        load.resume()
        load.wait_for_more()
    lost, unreachable = (
        scene.code(reason) for reason in (Reason.SOURCE_LOST, Reason.SOURCE_UNREACHABLE)
    )
    for writer in load.writers:
        assert [failure.code for failure in writer.failures] == [lost, unreachable]


def test_a_server_in_a_black_hole_costs_no_place_once_its_clients_hang_up(scene: Scene):
    with scene.session(KEPT) as leaves, scene.load(patience=1.0) as load:
        scene.source.fail(HOLD)
        # The reset behind this one's back is never answered.
        leaves.close()
        load.wait_until_failed()
        assert load.codes() == {"silence"}
        load.resume()
        load.wait_until_failed(2)
        # A new connection is given up at connect_timeout, with a sentence.
        codes = {writer.failures[1].code for writer in load.writers}
        assert codes == {scene.code(Reason.SOURCE_UNREACHABLE)}
        # Nobody heals it: what was asked to be stopped is given up.
        wait_until(lambda: scene.sessions() == 1, what="all sessions but the bystander's to end")


@pytest.mark.parametrize("source", [KEPT, DIRECT])
def test_a_server_whose_machine_is_gone_is_one_clear_error(scene: Scene, source: str):
    with scene.session(source) as session:
        assert session.value("SELECT 'here'") == "here"
        scene.source.lose_machine(Way.UP)
        with pytest.raises(Told) as caught:
            session.value("SELECT 'gone'")
    assert caught.value.code == scene.code(Reason.SOURCE_LOST)
    assert caught.value.text == "the data source answers nothing any more"
    scene.source.reset()
    scene.source.heal()
    with scene.session(source) as session:
        assert session.value("SELECT 'back'") == "back"
    scene.nothing_is_left()


def test_a_connection_that_is_lost_in_the_pool_is_not_given_out(scene: Scene):
    with scene.session(KEPT) as session:
        assert session.value("SELECT 'first'") == "first"
    scene.nothing_is_left()
    scene.source.reset()
    wait_until(lambda: scene.kept() == 0, what="the pool to see that its connection is lost")
    with scene.session(KEPT) as session:
        assert session.value("SELECT 'second'") == "second"
        # The reset, behind the client's back, goes wrong.
        scene.source.fail(Flip(9))
    scene.nothing_is_left()
    assert scene.kept() == 0
    scene.source.heal()
    with scene.session(KEPT) as session:
        assert session.value("SELECT 'third'") == "third"
    scene.nothing_is_left()
