"""What a soak found: its verdicts, as text and as a file with everything behind them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.soak.census import Sample
from tests.soak.client import Book
from tests.soak.options import Options
from tests.soak.plot import draw

_SHOWN = 10  # of what is wrong, in one verdict


@dataclass(frozen=True, slots=True)
class Verdict:
    """``wrong``: a sentence for each thing that speaks against it; it holds where there is none."""

    title: str
    figure: str
    wrong: tuple[str, ...] = ()

    @property
    def is_held(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.wrong

    def lines(self) -> list[str]:
        """For a reader: the verdict, and the first of what is wrong."""
        shown = [f"    {sentence}" for sentence in self.wrong[:_SHOWN]]
        if len(self.wrong) > _SHOWN:
            shown.append(f"    ... and {len(self.wrong) - _SHOWN} more")
        return [
            f"{'held    ' if self.is_held else 'NOT HELD'}  {self.title}: {self.figure}",
            *shown,
        ]


@dataclass(slots=True)
class Report:
    """``facts``: of the run. ``samples``: in the order they were taken."""

    options: Options
    facts: dict[str, Any] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    @property
    def is_held(self) -> bool:
        """Whether every verdict holds, and there is one."""
        return bool(self.verdicts) and all(verdict.is_held for verdict in self.verdicts)

    def write(self, book: Book, begin: float) -> list[Path]:
        """Write ``soak.md`` for a reader, ``soak.json`` and ``soak.png``; returns them."""
        folder = self.options.output
        folder.mkdir(parents=True, exist_ok=True)
        text, data, picture = folder / "soak.md", folder / "soak.json", folder / "soak.png"
        text.write_text(self.text(picture.name))
        disturbances = book.disturbances
        data.write_text(
            json.dumps(
                {
                    "options": asdict(self.options) | {"output": str(folder)},
                    "facts": self.facts,
                    "verdicts": [asdict(it) | {"is_held": it.is_held} for it in self.verdicts],
                    "errors": dict(book.errors),
                    "excused": [
                        {"disturbance": cause, "error": kind, "count": count}
                        for (cause, kind), count in sorted(disturbances.excused.items())
                    ],
                    "disturbances": [asdict(it) for it in disturbances.made],
                    "samples": [asdict(sample) for sample in self.samples],
                },
                indent=1,
            )
            + "\n"
        )
        made = [
            (it.kind, it.began - begin)
            for it in disturbances.made
            if it.client == "" and it.began >= begin
        ]
        draw(self.samples, made, picture)
        return [text, data, picture]

    def text(self, picture: str) -> str:
        """The run in Markdown: what it was made on, each verdict, and how it was disturbed."""
        options, facts = self.options, self.facts
        lines = [
            f"# A soak of {options.seconds / 60:g} minutes"
            f" with {options.clients} clients and workers: {options.workers}",
            "",
            *([f"{facts['made on']}", ""] if "made on" in facts else []),
            "| verdict | | figures |",
            "|---|---|---|",
        ]
        for verdict in self.verdicts:
            word = "held" if verdict.is_held else "**not held**"
            wrong = "".join(f"; {sentence}" for sentence in verdict.wrong[:_SHOWN])
            lines.append(f"| {verdict.title} | {word} | {_in_cell(verdict.figure + wrong)} |")
        for name in ("disturbances", "errors excused", "pins"):
            if facts.get(name):
                counts = ", ".join(f"{it} {count:,}" for it, count in facts[name].items())
                lines += ["", f"{name.capitalize()}: {counts}."]
        return "\n".join([*lines, "", f"![{picture}]({picture})", ""])


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|")
