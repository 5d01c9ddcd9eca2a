"""uvicorn around the application: one process, one port, a deadline on every silence.

Knows sockets, TLS and signals; no endpoint.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from proxy.admin.app import build_app
from proxy.admin.call import Office
from proxy.administration.trail import ProxyTrail
from proxy.certificates import check_listener_certificate, utc_now
from proxy.config import AdminConfig, Config
from proxy.control import SocketClient
from proxy.oidc.fetching import Fetch
from proxy.parts import address_of, open_store, open_vault
from proxy.preflight import is_loopback
from proxy.sockets import bind_tcp
from proxy.store import Workspace

log = structlog.get_logger("admin")

HEAD_SECONDS = 10.0
"""From a connection's begin, or its last answer, to the end of the next request's head."""
HEAD_LIMIT = 16 * 1024
MOST_CONNECTIONS = 256
GRACE_SECONDS = 10
"""For calls under way when the process is told to stop."""


class UnsafeListener(Exception):
    """The endpoints would be served to other machines in plaintext; one sentence."""


class DeadlineProtocol(H11Protocol):
    """uvicorn's protocol, which waits for ever for a request's head, with an end to that.

    Beyond ``MOST_CONNECTIONS`` a connection is closed as it comes.
    """

    head_seconds = HEAD_SECONDS
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._waiting = self.loop.call_later(self.head_seconds, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """A head that is whole has been waited for."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._wait_no_more()
            # For an answer whose client does not read it: its task has not begun yet.
            self.cycle.scope["state"]["abort"] = self._drop

    def on_response_complete(self) -> None:
        """The next head may come, within uvicorn's own time and ours."""
        super().on_response_complete()
        if not self.transport.is_closing() and self.cycle.response_complete:
            self._wait_no_more()
            self._waiting = self.loop.call_later(self.head_seconds, self._too_slow)

    def _drop(self) -> None:
        """End it at once; what the kernel has for the client goes too, some megabytes."""
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _too_slow(self) -> None:
        self._waiting = None
        self.transport.abort()

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


async def serve(
    config: Config,
    fetch_for: Callable[[Workspace], Fetch],
    *,
    started: Callable[[int], None] = lambda port: None,
) -> None:
    """Serve until SIGTERM or SIGINT; ``started`` is told the port.

    ``fetch_for``: by what a workspace's identity provider is asked.
    Raises PortError, StoreError, KeyFileError, CertificateError, UnsafeListener.
    """
    settings = config.admin
    context = _tls(settings)
    vault = open_vault(config)
    store = await open_store(config)
    try:
        sock = bind_tcp(settings.host, settings.port, "admin")
        client = SocketClient(config.control.socket)
        office = Office(config, store, vault, ProxyTrail(client), client, fetch_for=fetch_for)
        host, port = address_of(sock)
        server = _Server(
            uvicorn_config(build_app(office), context),
            lambda: started(port),
            office.streams.close,
        )
        log.info("admin endpoints open", host=host, port=port, tls=context is not None)
        await server.serve(sockets=[sock])
    finally:
        await store.close()


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        started: Callable[[], None],
        stopping: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._tell = started
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._tell()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what goes on by itself, so that nobody waits for it, and all else in order."""
        self._stopping()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End in order. uvicorn's own would then kill the process by the same signal."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def uvicorn_config(
    app: ASGIApp,
    context: ssl.SSLContext | None,
    protocol: type[DeadlineProtocol] = DeadlineProtocol,
) -> uvicorn.Config:
    """How uvicorn serves: HTTP/1.1 alone; a proxy before it is not believed; it logs nothing."""
    # Its own loggers say what a peer sent; ours says what happened.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=HEAD_LIMIT,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_context_factory=None if context is None else lambda _config, _default: context,
    )


def _tls(settings: AdminConfig) -> ssl.SSLContext | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        if not is_loopback(settings.host):
            raise UnsafeListener(
                f"admin.host is {settings.host} and admin.tls_certificate is not set: "
                "API keys would go over the network in plaintext"
            )
        return None
    warning = check_listener_certificate(settings.tls_certificate, settings.tls_key, utc_now())
    if warning is not None:
        log.warning(warning)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    return context
