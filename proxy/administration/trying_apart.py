"""A policy tried in a process of its own, for a caller that serves others meanwhile.

To read a text takes up to some hundred milliseconds in which nothing else of its process runs,
and memory that depends on the text: here both are bounded, and the process holds no key, no
store and no socket. One job in JSON on its standard input, one answer on its output.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from policies.document import Policy, policy_from
from proxy.administration.audit_log import SEARCH_SECONDS, SearchTooLong
from proxy.administration.trying import Draft, Example, Tally, Tried, try_policy
from proxy.audit.files import AuditFolderError

MEMORY: Final = 1024 * 1024 * 1024
"""Bytes of address space: the grammars take a third, the rest is for the largest text."""
GRACE_SECONDS: Final = 10.0
"""For the process to start, and for the text that it is at when its time is up."""
_ROOT: Final = Path(__file__).resolve().parents[2]


class TrialFailed(Exception):
    """The process gave no answer; one sentence for whoever asked."""


async def try_apart(folder: Path, draft: Draft, tenant: str, count: int) -> Tried:
    """``try_policy`` within ``SEARCH_SECONDS``. Raises TrialFailed besides."""
    job = {
        "folder": str(folder),
        "policy": draft.policy.to_value(),
        "source": draft.source,
        "workspace": None if draft.workspace is None else draft.workspace.to_value(),
        "sources": {name: policy.to_value() for name, policy in draft.sources.items()},
        "tenant": tenant,
        "count": count,
        "seconds": SEARCH_SECONDS,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", __name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # Nothing else of ours: a configuration's secrets may stand there.
        env={"PYTHONPATH": str(_ROOT), "PATH": os.defpath},
    )
    try:
        async with asyncio.timeout(SEARCH_SECONDS + GRACE_SECONDS):
            answer, _ = await process.communicate(json.dumps(job).encode())
    except TimeoutError:
        raise TrialFailed("the policy was not tried in time; ask about fewer statements") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return answered(answer)


def answered(answer: bytes) -> Tried:
    """What the process said. Raises what it raised, and TrialFailed for what is no answer."""
    try:
        value = json.loads(answer)
    except ValueError:
        # Killed for its memory, most likely: nobody could say more.
        raise TrialFailed("the process that tries the policy ended without an answer") from None
    match value.get("error"):
        case "too-long":
            raise SearchTooLong(value["sentence"])
        case "folder":
            raise AuditFolderError(value["sentence"])
    found: dict[str, Any] = value
    rules = {rule: Tally(**tally) for rule, tally in found.pop("rules").items()}
    examples = [Example(**one) for one in found.pop("examples")]
    return Tried(**found, rules=rules, examples=examples)


def _policy(value: Any) -> Policy | None:
    return None if value is None else policy_from(value)


def _work(job: dict[str, Any]) -> dict[str, Any]:
    draft = Draft(
        policy_from(job["policy"]),
        job["source"],
        _policy(job["workspace"]),
        {name: policy_from(value) for name, value in job["sources"].items()},
    )
    try:
        tried = try_policy(Path(job["folder"]), draft, job["tenant"], job["count"], job["seconds"])
    except SearchTooLong as error:
        return {"error": "too-long", "sentence": str(error)}
    except AuditFolderError as error:
        return {"error": "folder", "sentence": str(error)}
    return asdict(tried)


def main() -> None:
    """The process: bounded in memory, after everybody else in its turn for a core."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(10)
    answer = _work(json.load(sys.stdin.buffer))
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
