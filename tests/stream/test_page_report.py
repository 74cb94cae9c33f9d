"""What `bench page` makes of its figures."""

from bench.page import explained


def test_a_late_block_is_the_machines_when_the_reference_was_late_at_about_the_same_time():
    stalls = [(10.0, 30.0), (20.0, 8.0)]
    cases = {
        (9.99, 10.035): True,  # during the stall
        (10.07, 10.095): True,  # one of the blocks after it
        (9.93, 9.96): True,  # waking late is noticed at the end of a tick, not at its beginning
        (10.1, 10.13): False,
        (9.9, 9.93): False,
        (20.0, 20.03): False,  # the reference was late too little to explain it
        (30.0, 30.05): False,
    }
    assert {span: bool(explained({span}, stalls)) for span in cases} == cases
    assert explained(set(cases), stalls) == 3
