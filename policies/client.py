"""From where, when and how a client may come. Time and address are arguments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import IPv6Address
from zoneinfo import ZoneInfo

from policies.decide import ALLOWED, Verdict
from policies.document import DAYS, Hours
from policies.effective import EffectivePolicy
from policies.egress import Address
from protocols.errors import Reason, Refusal


def check_client(
    policy: EffectivePolicy,
    address: Address,
    *,
    now: datetime,
    is_encrypted: bool,
) -> Refusal | None:
    """Why this client may not come now, or None. ``now`` knows its time zone."""
    verdict = judge_client(policy, address, now=now, is_encrypted=is_encrypted)
    if verdict.is_allowed:
        return None
    if verdict.rule == "client.require_tls":
        return Refusal(verdict.reason, f"refused by policy: {verdict.message}")
    return Refusal(verdict.reason, f"refused by policy: {verdict.message} ({verdict.rule})")


def judge_client(
    policy: EffectivePolicy,
    address: Address | None,
    *,
    now: datetime | None,
    is_encrypted: bool | None,
) -> Verdict:
    """The same, with the rule and what it was asked about; what is None is not asked about."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    for client in (layer.client for layer in policy.layers):
        if client.require_tls and is_encrypted is False:
            return Verdict(
                is_allowed=False,
                rule="client.require_tls",
                message="this workspace's clients must use TLS",
                reason=Reason.TLS_REQUIRED,
            )
        if (
            address is not None
            and client.networks is not None
            and not any(address in network for network in client.networks)
        ):
            return Verdict(
                is_allowed=False,
                rule="client.networks",
                object=str(address),
                message="clients may not come from this network",
            )
        if now is not None and client.hours is not None and not is_within(client.hours, now):
            return Verdict(
                is_allowed=False,
                rule="client.hours",
                object=now.isoformat(timespec="minutes"),
                message="it is not one of the allowed hours",
            )
    return ALLOWED


def is_within(hours: Sequence[Hours], now: datetime) -> bool:
    """Whether ``now`` is in any of these times of the week."""
    return any(_is_in(entry, now) for entry in hours)


def _is_in(hours: Hours, now: datetime) -> bool:
    local = now.astimezone(ZoneInfo(hours.zone))
    at, today = local.time(), DAYS[local.weekday()]
    if hours.start < hours.until:
        return today in hours.days and hours.start <= at < hours.until
    # It ends on the day after: by the calendar, so that a change of the clocks moves nothing.
    yesterday = DAYS[(local.date() - timedelta(days=1)).weekday()]
    return (today in hours.days and at >= hours.start) or (
        yesterday in hours.days and at < hours.until
    )
