"""How the connections to a data source are kept and shared, and as it is stored.

Knows the bounds of each setting. Must never know a pool.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal, get_args

from proxy.store.errors import InvalidSetting, StoreCorrupt

PoolMode = Literal["off", "session", "transaction"]
POOL_MODES: Final[tuple[PoolMode, ...]] = get_args(PoolMode)
"""As they are written everywhere."""

MOST_CONNECTIONS = 10_000
"""The largest ``maximum``: a server process each, at PostgreSQL's."""
LONGEST_SECONDS = 7 * 86_400.0
LONGEST_QUEUE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """``session``: a client has a connection from its login to its end, then another client.
    ``transaction``: from a transaction's first byte to its end, then whoever is next.

    ``minimum``: so many idle ones are kept whatever ``idle_seconds`` says. ``maximum``:
    connections of one proxy to the source, in use or not, its workers' together; beyond it
    clients wait, each for ``queue_seconds`` at the most. ``life_seconds``: the oldest a
    connection may be when it is kept for another client, less a tenth at random.
    """

    mode: PoolMode = "off"
    minimum: int = 0
    maximum: int = 100
    idle_seconds: float = 300.0
    life_seconds: float = 3_600.0
    queue_seconds: float = 10.0

    def share_of_one(self, workers: int) -> PoolSettings:
        """What one of so many workers may have; at least one connection.

        Rounded down, so that together they have no more than the data source was to bear,
        but where there are more workers than connections.
        """
        maximum = max(self.maximum // workers, 1)
        minimum = min(-(-self.minimum // workers), maximum)
        return replace(self, minimum=minimum, maximum=maximum)


OFF = PoolSettings()
POOLED = PoolSettings("session")


def check(settings: PoolSettings) -> None:
    """Raise InvalidSetting for what cannot be."""
    if settings.mode not in POOL_MODES:
        raise InvalidSetting("pooling", f"must be one of {', '.join(POOL_MODES)}")
    if not 1 <= settings.maximum <= MOST_CONNECTIONS:
        raise InvalidSetting("pool maximum", f"must be 1 to {MOST_CONNECTIONS}")
    if not 0 <= settings.minimum <= settings.maximum:
        raise InvalidSetting("pool minimum", "must be 0 to the pool's maximum")
    for name, value, most in (
        ("pool idle time", settings.idle_seconds, LONGEST_SECONDS),
        ("pool life time", settings.life_seconds, LONGEST_SECONDS),
        ("pool queue time", settings.queue_seconds, LONGEST_QUEUE_SECONDS),
    ):
        if not 1.0 <= value <= most:
            raise InvalidSetting(name, f"must be 1 to {most:.0f} seconds")


def to_json(settings: PoolSettings) -> str:
    """As a row has it; nothing where nothing is pooled as nobody has said otherwise."""
    return "" if settings == OFF else json.dumps(asdict(settings), sort_keys=True)


def from_json(text: str) -> PoolSettings:
    """From a row. Raises StoreCorrupt."""
    if not text:
        return OFF
    try:
        settings = PoolSettings(**json.loads(text))
        check(settings)
    except (TypeError, ValueError, InvalidSetting):
        raise StoreCorrupt("the store holds pool settings that cannot be read") from None
    return settings
