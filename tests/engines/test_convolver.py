import numpy as np
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


def test_equals_scipy_in_float64():
    for taps in (1, 479, 480, 481, 7000):
        x, h = material(taps, taps=taps)
        expected = reference(x, h)
        assert np.abs(Convolver(h).step(x) - expected).max() <= 1e-5 * np.abs(expected).max()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 1700), min_size=1, max_size=12))
def test_any_cut_gives_the_same_samples(cuts):
    x, h = material(1)
    whole = Convolver(h).step(x)
    edges = np.minimum(np.cumsum(cuts), x.shape[1])
    convolver = Convolver(h)
    pieces = [convolver.step(np.ascontiguousarray(p)) for p in np.split(x, edges, axis=1) if p.shape[1]]
    assert np.abs(np.concatenate(pieces, axis=1) - whole).max() <= 1e-6 * np.abs(whole).max()


def test_reset_equals_fresh():
    x, h = material(2)
    convolver = Convolver(h)
    convolver.step(x[:, :1234])
    convolver.reset()
    np.testing.assert_array_equal(convolver.step(x), Convolver(h).step(x))


def test_inputs_do_not_touch_each_other():
    x, h = material(3)
    alone = [Convolver(h[i : i + 1]).step(x[i : i + 1]) for i in range(len(x))]
    together = Convolver(h).step(x)
    assert np.abs(sum(alone) - together).max() <= 1e-5 * np.abs(together).max()


def test_an_input_that_pauses_rings_out_and_comes_back():
    x, h = material(4, n=24_000)
    x[0, 2000:15_000] = 0  # longer than the impulse response: the input is skipped, then wakes up
    expected = reference(x, h)
    convolver = Convolver(h)
    blocks = [convolver.step(np.ascontiguousarray(x[:, i : i + 480])) for i in range(0, x.shape[1], 480)]
    assert np.abs(np.concatenate(blocks, axis=1) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_block_length_does_not_matter():
    x, h = material(5)
    assert np.abs(Convolver(h, block=128).step(x) - Convolver(h, block=960).step(x)).max() < 1e-3
