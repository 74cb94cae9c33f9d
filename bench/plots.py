"""Figures of the benchmarks: small multiples in a PNG."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engines.errors import ConfigError


@contextmanager
def figure_file(path: Path, n_rows: int, size_in: tuple[float, float], n_columns: int = 1) -> Iterator[list[Any]]:
    """Axes to draw on, row by row; the figure is written to `path` (PNG) when the `with` block ends.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ConfigError("--plot needs matplotlib; run: pip install matplotlib") from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(n_rows, n_columns, figsize=size_in, layout="constrained", squeeze=False)
    try:
        yield list(axes.flat)
        figure.savefig(path, dpi=110)
    finally:
        plt.close(figure)
