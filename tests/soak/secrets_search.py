"""Looks for passwords and tokens in what the proxy wrote: its log, audit log and metrics.

The suite in ``tests/canary`` knows every form of a secret; here the plain ones are looked for
in much more text. Knows files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.canary.forms import Canary

_FORMS = ("raw", "hex", "base64 at 0", "base64 at 1", "base64 at 2")


def leaks(
    secrets: Iterable[tuple[str, str]], files: Iterable[Path], texts: Mapping[str, str]
) -> list[str]:
    """One sentence for each form of a secret found in a file or text."""
    needles = [
        (name, form, canary[form])
        for name, secret in secrets
        for canary in [Canary(name, secret.encode()).forms()]
        for form in _FORMS
    ]
    found = []
    pieces = ((str(path.name), path.read_bytes()) for path in files)
    more = ((name, text.encode()) for name, text in texts.items())
    for source in (pieces, more):
        for place, data in source:
            found += [f"{name} as {form} in {place}" for name, form, it in needles if it in data]
    return found
