"""Work ahead: the same items in the same order, errors in their place, no thread left (see conftest)."""

import threading

import pytest

from stream.ahead import read_ahead


def test_items_come_in_order_from_another_thread():
    threads = []

    def items():
        for n in range(50):
            threads.append(threading.current_thread().name)
            yield n

    assert list(read_ahead(items(), 3, "ahead")) == list(range(50))
    assert set(threads) == {"ahead"}


def test_no_more_than_the_bound_is_made_before_it_is_wanted():
    made = []
    ahead = read_ahead((made.append(n) or n for n in range(100)), 3, "ahead")
    assert next(ahead) == 0
    ahead.close()
    assert len(made) <= 6


def test_an_error_comes_after_what_was_made_before_it():
    def items():
        yield 1
        yield 2
        raise ValueError("broken")

    ahead = read_ahead(items(), 3, "ahead")
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        next(ahead)


def test_closing_early_closes_what_is_read():
    closed = threading.Event()

    def items():
        try:
            yield from range(1000)
        finally:
            closed.set()

    ahead = read_ahead(items(), 2, "ahead")
    next(ahead)
    ahead.close()
    assert closed.is_set()
