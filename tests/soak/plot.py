"""A soak as a picture: memory, descriptors and tasks, sessions and connections over time.

Knows matplotlib, which is imported only when the picture is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.soak.census import Sample

_PANELS = (
    ("Memory, MiB", ("memory",)),
    ("Descriptors and tasks", ("descriptors", "tasks")),
    ("Sessions and connections", ("sessions", "pooled", "server_connections")),
)
_COLOURS = ("#1b6ca8", "#e08e0b", "#7a7a7a")


def draw(samples: Sequence[Sample], disturbances: Sequence[tuple[str, float]], file: Path) -> None:
    """Draw the samples, with a tick at the foot for each disturbance's begin."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    times = [sample.at for sample in samples]
    picture, rows = plt.subplots(len(_PANELS), 1, figsize=(9.0, 8.0), sharex=True)
    for axes, (title, names) in zip(rows, _PANELS, strict=True):
        for name, colour in zip(names, _COLOURS, strict=False):
            values = [getattr(sample, name) for sample in samples]
            if name == "memory":
                values = [value / 2**20 for value in values]
            axes.plot(times, values, color=colour, linewidth=1, label=name.replace("_", " "))
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        if len(names) > 1:
            axes.legend(frameon=False, fontsize=7, ncols=len(names))
        axes.plot(
            [at for _, at in disturbances],
            [0.01] * len(disturbances),
            "|",
            transform=axes.get_xaxis_transform(),
            color="#b03030",
            markersize=4,
        )
    rows[-1].set_xlabel("seconds; red: disturbances")
    picture.tight_layout()
    picture.savefig(file, dpi=110)
    plt.close(picture)
