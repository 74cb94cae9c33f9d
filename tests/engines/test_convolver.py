import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import fftconvolve

from engines.spatial.convolver import Convolver


def reference(x, h):
    """Float64 convolution of (n_in, n) with (n_in, n_out, taps)."""
    n = x.shape[1]
    return np.stack(
        [
            sum(fftconvolve(x[i].astype(float), h[i, o].astype(float))[:n] for i in range(len(h)))
            for o in range(h.shape[1])
        ]
    )


def material(seed, n_in=3, n_out=5, taps=2900, n=9000):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n_in, n)).astype(np.float32), rng.standard_normal((n_in, n_out, taps)).astype(
        np.float32
    )


# Blocks of 480 taps on either side of where a stage begins, and few and many inputs and outputs: every path.
SIZES = [
    *((2, 5, taps) for taps in (1, 479, 480, 481, 1440, 7000)),
    (1, 6, 15_000),
    (3, 2, 9000),
    (9, 5, 20_000),
    (20, 7, 16_000),
    (1, 5, 40_000),
    (5, 13, 33_000),
]


@pytest.mark.parametrize(("n_in", "n_out", "taps"), SIZES)
def test_equals_scipy_in_float64(n_in, n_out, taps):
    x, h = material(taps, n_in, n_out, taps, n=taps + 20_000)
    expected = reference(x, h)
    assert np.abs(Convolver(h).step(x) - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("stages", [(), (2,), (4,), (8,), (16,), (4, 16), (8, 32)])
def test_the_cut_of_the_responses_does_not_matter(stages):
    x, h = material(7, 4, 6, 36_000, n=60_000)
    expected = reference(x, h)
    assert np.abs(Convolver(h, stages=stages).step(x) - expected).max() <= 1e-6 * np.abs(expected).max()


def test_narrow_registers_give_the_same():
    """What a processor without AVX-512 would run."""
    program = (
        "import numpy as np; from tests.engines.test_convolver import SIZES, material; "
        "from engines.spatial import spectral; from engines.spatial.convolver import Convolver; "
        "assert spectral.WIDTH == 8; "
        "x, h = material(1, 9, 5, 20_000, n=30_000); np.save('{}', Convolver(h).step(x))"
    )
    features = "+avx,+avx2,+fma" if "avx2" in Path("/proc/cpuinfo").read_text() else "+sse2"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "y.npy"
        narrow = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": folder}
        subprocess.run([sys.executable, "-c", program.format(path)], check=True, env={**os.environ, **narrow})
        x, h = material(1, 9, 5, 20_000, n=30_000)
        assert np.abs(np.load(path) - Convolver(h).step(x)).max() <= 1e-6 * np.abs(np.load(path)).max()


def test_threads_do_not_disturb_each_other():
    x, h = material(8, 4, 6, 20_000, n=48_000)
    alone = Convolver(h).step(x)
    with ThreadPoolExecutor(4) as pool:
        for y in pool.map(lambda _: Convolver(h).step(x), range(4)):
            np.testing.assert_array_equal(y, alone)


def test_nearly_nothing_is_nothing():
    """Denormal numbers would cost a hundred times the time of others."""
    x, h = material(9)
    assert not Convolver(h).step(x * np.float32(1e-30)).any()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 1700), min_size=1, max_size=12), st.sampled_from([(), (2,), (4, 8)]))
def test_any_cut_gives_the_same_samples(cuts, stages):
    x, h = material(1, taps=9000, n=16_000)
    whole = Convolver(h, stages=stages).step(x)
    edges = np.minimum(np.cumsum(cuts), x.shape[1])
    convolver = Convolver(h, stages=stages)
    pieces = [convolver.step(np.ascontiguousarray(p)) for p in np.split(x, edges, axis=1) if p.shape[1]]
    assert np.abs(np.concatenate(pieces, axis=1) - whole).max() <= 1e-6 * np.abs(whole).max()


def test_reset_equals_fresh():
    x, h = material(2, taps=20_000, n=30_000)
    convolver = Convolver(h)
    convolver.step(x[:, :1234])
    convolver.reset()
    np.testing.assert_array_equal(convolver.step(x), Convolver(h).step(x))


def test_inputs_do_not_touch_each_other():
    x, h = material(3)
    alone = [Convolver(h[i : i + 1]).step(x[i : i + 1]) for i in range(len(x))]
    together = Convolver(h).step(x)
    assert np.abs(sum(alone) - together).max() <= 1e-6 * np.abs(together).max()


def test_an_input_that_pauses_rings_out_and_comes_back():
    x, h = material(4, taps=12_000, n=90_000)
    x[0, 2000:60_000] = 0  # longer than the impulse response: the input is skipped, then wakes up
    expected = reference(x, h)
    convolver = Convolver(h)
    blocks = [convolver.step(np.ascontiguousarray(x[:, i : i + 480])) for i in range(0, x.shape[1], 480)]
    assert np.abs(np.concatenate(blocks, axis=1) - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize(("taps", "stages"), [(6000, ()), (30_000, (4,)), (30_000, (8,))])
def test_inputs_come_and_go(taps, stages):
    """A source that moves wakes one input of a grid after another."""
    x, h = material(6, 24, 5, taps, n=60_000)
    rng = np.random.default_rng(1)
    for row in x:
        begin = rng.integers(0, 50_000)
        row[:begin] = 0
        row[begin + rng.integers(200, 12_000) :] = 0
    expected = reference(x, h)
    convolver = Convolver(h, stages=stages)
    blocks = [convolver.step(np.ascontiguousarray(x[:, i : i + 480])) for i in range(0, x.shape[1], 480)]
    assert np.abs(np.concatenate(blocks, axis=1) - expected).max() <= 1e-6 * np.abs(expected).max()


def test_block_length_does_not_matter():
    x, h = material(5)
    assert np.abs(Convolver(h, block=128).step(x) - Convolver(h, block=960).step(x)).max() < 1e-3
