"""Between a leg's transport and the relay: what the protocol wraps that leg's bytes in.

To the transport it is the relay's side, to the relay the transport. Nothing is unwrapped that
the relay does not take: what has arrived waits here, in the form in which it came, and the
transport is read no further. Knows no protocol: a ``Wrapping`` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from protocols.errors import PeerViolation, Reason, Refusal
from protocols.interface import Wrapping
from proxy.gateway.plain import Side

TURN = 1024 * 1024
"""Bytes unwrapped before other sessions have their turn: a few milliseconds of inflating."""


class Layer(Side):
    """One leg's. ``broken`` is called, once, with the violation of a peer that cannot be read."""

    def __init__(self, wrapping: Wrapping, broken: Callable[[PeerViolation], None]) -> None:
        super().__init__()
        self._wrapping = wrapping
        self._broken = broken
        self._relay = Side()
        self._transport = asyncio.Transport()
        # Whether there may be more to unwrap; whether the relay does not want it, or a turn
        # of unwrapping is due; whether the transport was told to pause.
        self._has_more = False
        self._is_held = False
        self._is_due = False
        self._is_paused = False
        self._is_broken = False
        # Closed by the relay; lost, with the reason, before the relay has had everything.
        self._is_closing = False
        self._lost: tuple[Exception | None] | None = None

    def around(self, side: Side) -> Layer:
        """This layer, for the relay's side of the leg."""
        self._relay = side
        return self

    # -- the transport's side ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The relay's transport is this one."""
        self._transport = cast(asyncio.Transport, transport)
        self._relay.connection_made(cast(asyncio.Transport, self))

    def data_received(self, data: bytes) -> None:
        """Unwrap, as far as the relay takes it."""
        if self._is_broken or self._is_closing:
            return
        self._wrapping.receive(data)
        self._has_more = True
        if not self._is_held and not self._is_due:
            self._unwrap()

    def pause_writing(self) -> None:
        """As the transport says."""
        self._relay.pause_writing()

    def resume_writing(self) -> None:
        """As the transport says."""
        self._relay.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Told once the relay has had what was sent before."""
        if self._has_more and not self._is_closing:
            self._lost = (exc,)
        else:
            self._relay.connection_lost(exc)

    def _unwrap(self) -> None:
        """One turn."""
        self._is_due = False
        left = TURN
        while not (self._is_held or self._is_closing or self._is_broken):
            if left <= 0:
                self._schedule()
                break
            try:
                piece = self._wrapping.unwrap()
            except PeerViolation as violation:
                self._is_broken = True
                self._broken(violation)
                break
            if not piece:
                self._has_more = False
                break
            left -= len(piece)
            self._relay.data_received(piece)
        if self._is_broken:
            self._has_more = False
        self._read_or_pause()
        if self._lost is not None and (not self._has_more or self._is_closing):
            self._tell_lost()

    def _schedule(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        """Unwrap from the loop, which would but tell of a bug of ours: that ends the session."""
        try:
            self._unwrap()
        except Exception:
            self._transport.abort()
            raise

    def _read_or_pause(self) -> None:
        """Read on only where nothing waits here."""
        must_pause = self._is_held or self._has_more or self._is_broken
        if must_pause == self._is_paused or self._transport.is_closing():
            return
        self._is_paused = must_pause
        if must_pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _tell_lost(self) -> None:
        if self._lost is not None:
            (reason,) = self._lost
            self._lost = None
            self._relay.connection_lost(reason)

    # -- the relay's transport -----------------------------------------------------------

    def write(self, data: Any) -> None:
        """Wrap and send; dropped where the peer has gone."""
        if not self._transport.is_closing():
            self._transport.write(self._wrapping.wrap(bytes(data)))

    def pause_reading(self) -> None:
        """Give the relay nothing more."""
        self._is_held = True
        self._read_or_pause()

    def resume_reading(self) -> None:
        """Go on, but not from within the call: the relay is in the middle of something."""
        self._is_held = False
        if self._has_more:
            self._schedule()
        else:
            self._read_or_pause()

    def is_reading(self) -> bool:
        """Whether the relay wants bytes."""
        return not self._is_held

    def is_closing(self) -> bool:
        """Whether nothing more will come or go; a lost peer's last bytes may still come."""
        return self._is_closing or (self._transport.is_closing() and not self._has_more)

    def close(self) -> None:
        """Send what was written, and close."""
        self._end(self._transport.close)

    def abort(self) -> None:
        """Close at once."""
        self._end(self._transport.abort)

    def _end(self, close: Callable[[], None]) -> None:
        self._is_closing = True
        close()
        if self._lost is not None:
            # The transport has said it already, and will not again.
            asyncio.get_running_loop().call_soon(self._tell_lost)

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        """As the transport's: of what is wrapped."""
        self._transport.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_size(self) -> int:
        """As the transport's."""
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As the transport's, while it is open."""
        return default if self._lost is not None else self._transport.get_extra_info(name, default)


def layers(
    wrappings: tuple[Wrapping | None, Wrapping | None], cut: Callable[[Refusal], None]
) -> tuple[Layer | None, Layer | None]:
    """The client's layer and the data source's; ``cut`` ends the session, with a reason."""

    def client_broke(violation: PeerViolation) -> None:
        cut(Refusal(Reason.PROTOCOL_VIOLATION, f"protocol violation: {violation}"))

    def source_broke(violation: PeerViolation) -> None:
        cut(
            Refusal(
                Reason.SOURCE_LOST,
                "the data source broke the protocol and the session was ended",
                str(violation),
            )
        )

    client, source = wrappings
    return (
        None if client is None else Layer(client, client_broke),
        None if source is None else Layer(source, source_broke),
    )
