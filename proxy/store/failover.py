"""The hosts of a data source beside its first, which of them a session may be on, and as it
is stored.

The words are libpq's (``target_session_attrs``, ``load_balance_hosts``). Knows the bounds of
each setting. Must never know a connection.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from policies.egress import check_host
from protocols.roles import TargetSession
from proxy.store.errors import InvalidSetting, StoreCorrupt

LoadBalance = Literal["disable", "random"]

HOSTS_LIMIT = 8
"""Hosts of a data source: each gets its share of one connect's time."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server of a data source, by its name or address as it was given."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Failover:
    """``others``: the hosts behind a source's first, in the order in which they are tried.

    ``target_session_attrs``: what a session's server must be. ``load_balance_hosts``:
    ``random`` tries the hosts in another order for each connection.
    """

    others: tuple[Endpoint, ...] = ()
    target_session_attrs: TargetSession = "any"
    load_balance_hosts: LoadBalance = "disable"

    @property
    def asks_role(self) -> bool:
        """Whether a server must say what it is before a session is on it."""
        return self.target_session_attrs != "any"


SINGLE = Failover()


def check(hosts: Sequence[Endpoint], failover: Failover, targets: frozenset[TargetSession]) -> None:
    """Raise InvalidSetting for what cannot be; ``targets`` is what the engine can tell."""
    if len(hosts) > HOSTS_LIMIT:
        raise InvalidSetting("host", f"a data source has at most {HOSTS_LIMIT} hosts")
    for one in hosts:
        refusal = check_host(one.host)
        if refusal is not None:
            raise InvalidSetting("host", refusal.public)
        if not 1 <= one.port <= 65_535:
            raise InvalidSetting("port", "use a number from 1 to 65535")
    if len({(one.host.lower(), one.port) for one in hosts}) != len(hosts):
        raise InvalidSetting("host", "each host is named once")
    if failover.target_session_attrs not in targets:
        words = ", ".join(word for word in get_args(TargetSession) if word in targets)
        raise InvalidSetting("target_session_attrs", f"for this engine, use one of {words}")
    if failover.load_balance_hosts not in get_args(LoadBalance):
        raise InvalidSetting("load_balance_hosts", "use disable or random")


def to_json(failover: Failover) -> str:
    """As a row has it; nothing for a single host whose role is nobody's concern."""
    if failover == SINGLE:
        return ""
    return json.dumps(
        {
            "others": [[one.host, one.port] for one in failover.others],
            "target_session_attrs": failover.target_session_attrs,
            "load_balance_hosts": failover.load_balance_hosts,
        }
    )


def from_json(text: str) -> Failover:
    """From a row. Raises StoreCorrupt."""
    if not text:
        return SINGLE
    try:
        fields = json.loads(text)
        others = tuple(Endpoint(str(host), int(port)) for host, port in fields.pop("others"))
        failover = Failover(others, **fields)
        check(others, failover, frozenset(get_args(TargetSession)))
    except (TypeError, ValueError, KeyError, AttributeError, InvalidSetting):
        raise StoreCorrupt("the store holds hosts of a source that cannot be read") from None
    return failover
