"""A TCP relay in front of a server, to cut a connection as a network does: by a reset."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import Any

# l_onoff and l_linger of socket(7): closing sends RST.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class TcpRelay:
    """Listens on loopback and passes bytes on, until ``reset``."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads = [threading.Thread(target=self._accept, name="relay")]
        self.bytes_down = 0
        self.bytes_up = 0

    def __enter__(self) -> TcpRelay:
        self._threads[0].start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()
        for thread in self._threads:
            thread.join(10)

    def reset(self) -> None:
        """Send RST to the proxy on every connection, and close the server's."""
        for near, far in self._pairs:
            with suppress(OSError):
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            for side in (far, near):
                # A thread that waits in recv holds the descriptor: close() alone sends nothing.
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RD)
                side.close()
        self._pairs.clear()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target, timeout=10)
            far.settimeout(None)
            self._pairs.append((near, far))
            for source, target, is_down in ((near, far, False), (far, near, True)):
                thread = threading.Thread(target=self._pass, args=(source, target, is_down))
                self._threads.append(thread)
                thread.start()

    def _pass(self, source: socket.socket, target: socket.socket, is_down: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
                if is_down:
                    self.bytes_down += len(data)
                else:
                    self.bytes_up += len(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
