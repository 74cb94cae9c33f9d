"""Real-time priority: asked for by those who need it, and inherited by nobody."""

import os
import threading

from stream.priority import EVENT_LOOP, in_real_time


def test_a_thread_gets_it_and_threads_that_it_starts_do_not():
    found = {}

    def look(name):
        found[name] = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK

    def ask():
        found["allowed"] = in_real_time(EVENT_LOOP)
        look("asking")
        found["priority"] = os.sched_getparam(0).sched_priority
        child = threading.Thread(target=look, args=("child",))
        child.start()
        child.join()

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    look("main")
    # Where the system does not allow it, everything stays ordinary.
    policy, priority = (os.SCHED_FIFO, EVENT_LOOP) if found["allowed"] else (os.SCHED_OTHER, 0)
    assert (found["asking"], found["priority"]) == (policy, priority)
    assert found["child"] == found["main"] == os.SCHED_OTHER
