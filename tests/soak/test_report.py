from __future__ import annotations

import io
import json
from pathlib import Path

from tests.soak.census import Sample
from tests.soak.client import Book
from tests.soak.disturbances import Disturbances
from tests.soak.ledger import Sent
from tests.soak.options import Options
from tests.soak.progress import Progress, line_of
from tests.soak.report import Report, Verdict

SAMPLE = Sample(12.0, 100 * 2**20, 40, 5, 3, 2, 4)


def book() -> Book:
    found = Book(Disturbances(), sessions=1234)
    found.sent["soak:c1:1",] = Sent(2, 1)
    found.errors["lost"] = 3
    return found


def test_a_line_of_progress_tells_time_work_errors_and_what_is_held():
    assert line_of(SAMPLE, book(), 600) == (
        "  12 of 600 s: 1,234 sessions, 2 statements; errors: lost 3; unexpected: 0;"
        " 100 MiB, 40 descriptors"
    )


def test_a_terminal_has_one_line_that_changes_and_a_file_now_and_then_one():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = Progress(stream)
        for _ in range(3):
            progress.show(SAMPLE, book(), seconds=600)
        progress.say("over")
    assert terminal.getvalue().count("\n") == 1
    assert terminal.getvalue().count("12 of 600 s") == 3
    assert file.getvalue().count("\n") == 2
    assert "\r" not in file.getvalue()


def test_a_verdict_shows_the_first_of_what_is_wrong():
    assert Verdict("it works", "well").lines() == ["held      it works: well"]
    lines = Verdict("it works", "badly", tuple(f"wrong {n}" for n in range(12))).lines()
    assert lines[0] == "NOT HELD  it works: badly"
    assert (len(lines), lines[1], lines[-1]) == (12, "    wrong 0", "    ... and 2 more")


def test_a_report_without_verdicts_holds_nothing(tmp_path: Path):
    report = Report(Options(output=tmp_path / "soak"), samples=[SAMPLE, SAMPLE])
    held = [report.is_held]
    for verdict in (Verdict("one", "good"), Verdict("two", "bad", ("a reason",))):
        report.verdicts.append(verdict)
        held.append(report.is_held)
    assert held == [False, True, False]
    text, data, picture = report.write(book(), begin=0.0)
    assert "| one | held | good |\n| two | **not held** | bad; a reason |" in text.read_text()
    assert [it["is_held"] for it in json.loads(data.read_text())["verdicts"]] == [True, False]
    assert picture.read_bytes().startswith(b"\x89PNG")
