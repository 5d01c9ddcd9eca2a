"""From where, when and how a client may come. Time and address are arguments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from zoneinfo import ZoneInfo

from policies.document import DAYS, Hours
from policies.effective import EffectivePolicy
from protocols.errors import Reason, Refusal


def check_client(
    policy: EffectivePolicy,
    address: IPv4Address | IPv6Address,
    *,
    now: datetime,
    is_encrypted: bool,
) -> Refusal | None:
    """Why this client may not come now, or None. ``now`` knows its time zone."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    for client in (layer.client for layer in policy.layers):
        if client.require_tls and not is_encrypted:
            return Refusal(
                Reason.TLS_REQUIRED, "refused by policy: this workspace's clients must use TLS"
            )
        if client.networks is not None and not any(
            address in network for network in client.networks
        ):
            return Refusal(
                Reason.NOT_PERMITTED,
                "refused by policy: clients may not come from this network (client.networks)",
            )
        if client.hours is not None and not is_within(client.hours, now):
            return Refusal(
                Reason.NOT_PERMITTED,
                "refused by policy: it is not one of the allowed hours (client.hours)",
            )
    return None


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
