from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import pytest

from policies.client import check_client
from policies.document import policy_from
from policies.effective import EffectivePolicy
from protocols.errors import Reason

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
HOME = ip_address("10.1.2.3")


def effective(**client: Any) -> EffectivePolicy:
    return EffectivePolicy.of(policy_from({"version": 1, "access": "full", "client": client}))


def reason(policy: EffectivePolicy, address: Any = HOME, now: datetime = NOON, tls: bool = True):
    refusal = check_client(policy, address, now=now, is_encrypted=tls)
    return None if refusal is None else refusal.reason


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("10.255.0.1", True),
        ("11.0.0.1", False),
        ("::ffff:10.0.0.1", True),
        ("::ffff:11.0.0.1", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
    ],
)
def test_a_client_comes_from_an_allowed_network(address: str, is_allowed: bool) -> None:
    policy = effective(networks=["10.0.0.0/8", "2001:db8::/32"])
    expected = None if is_allowed else Reason.NOT_PERMITTED
    assert reason(policy, ip_address(address)) is expected


def test_no_network_at_all_lets_nobody_in() -> None:
    assert reason(effective(networks=[])) is Reason.NOT_PERMITTED
    assert reason(effective()) is None


def test_tls_may_be_required() -> None:
    assert reason(effective(require_tls=True), tls=False) is Reason.TLS_REQUIRED
    assert reason(effective(require_tls=True)) is None


def test_every_layer_is_asked() -> None:
    near = policy_from({"version": 1, "client": {"networks": ["10.0.0.0/8"]}})
    far = policy_from({"version": 1, "client": {"networks": ["192.0.2.0/24"]}})
    assert reason(EffectivePolicy.of(near, far)) is Reason.NOT_PERMITTED


@pytest.mark.parametrize(
    ("moment", "is_allowed"),
    [
        ("2026-03-02T21:59:59+00:00", False),
        ("2026-03-02T22:00:00+00:00", True),
        ("2026-03-03T05:59:59+00:00", True),  # Tuesday morning belongs to Monday's night
        ("2026-03-03T06:00:00+00:00", False),
        ("2026-03-03T22:30:00+00:00", False),  # Tuesday's night is not allowed
        ("2026-03-02T05:00:00+00:00", False),  # Sunday's night is not
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(moment: str, is_allowed: bool) -> None:
    policy = effective(hours=[{"days": ["mon"], "start": "22:00", "until": "06:00"}])
    expected = None if is_allowed else Reason.NOT_PERMITTED
    assert reason(policy, now=datetime.fromisoformat(moment)) is expected


def test_hours_are_of_their_own_zone_also_when_its_clocks_change() -> None:
    policy = effective(hours=[{"start": "09:00", "until": "17:00", "zone": "Europe/Berlin"}])
    winter = datetime(2026, 3, 27, 15, 30, tzinfo=UTC)  # 16:30 in Berlin
    summer = datetime(2026, 3, 30, 15, 30, tzinfo=UTC)  # 17:30 in Berlin
    assert reason(policy, now=winter) is None
    assert reason(policy, now=summer) is Reason.NOT_PERMITTED


def test_a_whole_day_is_from_midnight_to_midnight() -> None:
    policy = effective(hours=[{"days": ["mon"]}])
    assert reason(policy, now=datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC)) is None
    assert reason(policy, now=datetime(2026, 3, 2, 0, 0, tzinfo=UTC)) is None
    assert reason(policy, now=datetime(2026, 3, 3, 0, 0, tzinfo=UTC)) is Reason.NOT_PERMITTED
