"""What every benchmark prints and saves: hardware, percentiles, ratios against references of the same run."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table


def percentiles(values_ms: Iterable[float]) -> dict[str, float]:
    """n, mean, p50, p95, p99 and max of some milliseconds."""
    values = np.asarray(list(values_ms), np.float64)
    if not len(values):
        return {"n": 0}
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return {
        "n": len(values),
        "mean": float(values.mean()),
        "p50": float(p50),
        "p95": float(p95),
        "p99": float(p99),
        "max": float(values.max()),
    }


def hardware() -> dict[str, Any]:
    """The machine and the versions that a figure belongs to."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    memory_kb = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory_kb / (1 << 20), 1),
        "load_1min": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("earshot", "numpy", "numba", "av", "aiortc", "opencv-python-headless")},
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


@dataclass(slots=True)
class Report:
    """The result of one case.

    Attributes:
        case: its name.
        rows: one a line of the table; all have the same keys.
        notes: sentences that belong to the figures.
        passed: whether every budget was kept; None when the case has none.
    """

    case: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    passed: bool | None = None

    def show(self, console: Console) -> None:
        """Print as a table."""
        table = Table(title=f"bench {self.case}", title_justify="left")
        for key in self.rows[0] if self.rows else ():
            table.add_column(key, justify="left" if isinstance(self.rows[0][key], str) else "right")
        for row in self.rows:
            table.add_row(*(_text(value) for value in row.values()))
        console.print(table)
        for note in self.notes:
            console.print(f"  {note}", markup=False)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"case": self.case, "passed": self.passed, "rows": self.rows, "notes": self.notes}


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return "" if value is None else str(value)


def save(path: Path, reports: list[Report]) -> None:
    """Write reports with the hardware they were measured on."""
    path.write_text(json.dumps({"hardware": hardware(), "reports": [r.as_json() for r in reports]}, indent=1) + "\n")
