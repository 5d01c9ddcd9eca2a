"""MySQL's own client library, as a program: statements in, results out, as JSON.

It is linked into mysql-connector-python's extension, which is loaded here for its C
functions alone. In a process of its own, because the extension brings its own OpenSSL. It
compares every number of a compressed packet, and knows zstd.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

# enum mysql_option and mysql_ssl_mode of mysql.h.
OPT_LOCAL_INFILE = 8
PLUGIN_DIR = 16
OPT_SSL_CA = 21
OPT_MAX_ALLOWED_PACKET = 32
OPT_SSL_MODE = 35
OPT_COMPRESSION_ALGORITHMS = 41
OPT_LOAD_DATA_LOCAL_DIR = 43
SSL_DISABLED, SSL_VERIFY_CA = 1, 4
CLIENT_MULTI_STATEMENTS = 1 << 16

Answer = list[Any]
"""Of each result its rows, a number of affected rows, or an error's number."""


def run(
    place: dict[str, Any],
    compression: str,
    *statements: str,
    ca: str | None = None,
    folder: str = "",
) -> list[Answer]:
    """Each statement's results. ``compression``: zlib, zstd or uncompressed.

    ``folder``: where files may be loaded from. Raises RuntimeError where it cannot connect.
    """
    task = {
        "place": place,
        "compression": compression,
        "statements": statements,
        "ca": ca,
        "folder": folder,
    }
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: list[Answer] = json.loads(done.stdout)
    return found


def _extension() -> Path:
    spec = importlib.util.find_spec("_mysql_connector")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(_extension()))
    for name in ("mysql_init", "mysql_real_connect", "mysql_use_result"):
        getattr(library, name).restype = ctypes.c_void_p
    library.mysql_error.restype = ctypes.c_char_p
    library.mysql_fetch_row.restype = ctypes.POINTER(ctypes.c_void_p)
    library.mysql_fetch_lengths.restype = ctypes.POINTER(ctypes.c_ulong)
    library.mysql_affected_rows.restype = ctypes.c_uint64
    return library


class _Client:
    def __init__(self, task: dict[str, Any]) -> None:
        self._c = library = _library()
        self._handle = ctypes.c_void_p(library.mysql_init(None))
        place = task["place"]
        self._option(OPT_COMPRESSION_ALGORITHMS, task["compression"].encode())
        # mysql_native_password, for MariaDB: MySQL's own servers have it no more.
        self._option(PLUGIN_DIR, str(_extension().parent / "mysql/vendor/plugin").encode())
        self._option(OPT_MAX_ALLOWED_PACKET, ctypes.byref(ctypes.c_ulong(1 << 28)))
        mode = SSL_DISABLED if task["ca"] is None else SSL_VERIFY_CA
        self._option(OPT_SSL_MODE, ctypes.byref(ctypes.c_uint(mode)))
        if task["ca"] is not None:
            self._option(OPT_SSL_CA, task["ca"].encode())
        if task["folder"]:
            self._option(OPT_LOCAL_INFILE, ctypes.byref(ctypes.c_uint(1)))
            self._option(OPT_LOAD_DATA_LOCAL_DIR, task["folder"].encode())
        connected = library.mysql_real_connect(
            self._handle,
            place["host"].encode(),
            place["user"].encode(),
            place["password"].encode(),
            place["database"].encode(),
            ctypes.c_uint(place["port"]),
            None,
            ctypes.c_ulong(CLIENT_MULTI_STATEMENTS),
        )
        if not connected:
            raise SystemExit(library.mysql_error(self._handle).decode())

    def _option(self, option: int, value: Any) -> None:
        assert self._c.mysql_options(self._handle, option, value) == 0

    def query(self, statement: str) -> Answer:
        text = statement.encode()
        answer: Answer = []
        status = self._c.mysql_real_query(self._handle, text, ctypes.c_ulong(len(text)))
        while status == 0:
            result = self._c.mysql_use_result(self._handle)
            if result:
                answer.append(self._rows(ctypes.c_void_p(result)))
            elif not self._c.mysql_errno(self._handle):
                answer.append(self._c.mysql_affected_rows(self._handle))
            if self._c.mysql_errno(self._handle):
                break
            status = self._c.mysql_next_result(self._handle)
        if self._c.mysql_errno(self._handle):
            answer.append({"error": self._c.mysql_errno(self._handle)})
        return answer

    def _rows(self, result: ctypes.c_void_p) -> list[list[str | None]]:
        count = self._c.mysql_num_fields(result)
        rows = []
        while row := self._c.mysql_fetch_row(result):
            lengths = self._c.mysql_fetch_lengths(result)
            rows.append(
                [
                    None if row[at] is None
                    else ctypes.string_at(row[at], lengths[at]).decode("latin-1")
                    for at in range(count)
                ]
            )  # fmt: skip
        self._c.mysql_free_result(result)
        return rows


if __name__ == "__main__":
    todo = json.load(sys.stdin)
    client = _Client(todo)
    json.dump([client.query(statement) for statement in todo["statements"]], sys.stdout)
