"""How a statement's line is put together, as plain Python.

Compiled, ``encode`` takes the ``join_statement`` of ``line.pxd`` instead, which makes the
same bytes without an object for each number; ``tests/audit/test_encode.py`` compares them.
"""

from __future__ import annotations


def join_statement(
    sequence: int,
    front: str,
    number: int,
    time: int,
    microseconds: int,
    sort: str,
    rows: int,
    bytes_out: int,
    tag: str,
    bytes_in: int,
    more: str,
    text: bytes,
    prev: str,
) -> bytes:
    """The line. The strings and the text are ASCII and escaped already; else ValueError."""
    sent = f',"in":{bytes_in}' if bytes_in else ""
    return (
        f'{{"sequence":{sequence}{front}{number}","time":{time},"us":{microseconds}'
        f'{sort}{rows},"out":{bytes_out}{tag}{sent}{more},"text":"{text.decode("ascii")}"'
        f',"prev":"{prev}"}}'
    ).encode("ascii")
