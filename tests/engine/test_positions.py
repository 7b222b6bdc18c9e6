from streams.engine.positions import Passed


def test_a_position_is_an_offset_or_has_ranges_done_beyond_it() -> None:
    assert Passed.of(5) == Passed(5)
    passed = Passed.of({"next": 120, "done": [[130, 140]]})
    assert [offset in passed for offset in (119, 120, 129, 130, 139, 140)] == [
        True,
        False,
        False,
        True,
        True,
        False,
    ]


def test_what_is_open_leaves_out_what_is_done_ahead() -> None:
    passed = Passed(120, ((130, 140), (150, 160)))
    assert passed.open(200) == 60
    assert passed.open(135) == 10
    assert passed.open(100) == 0


def test_a_position_says_why_its_lane_stopped() -> None:
    assert Passed.of({"next": 5, "done": []}).stopped is None
    assert Passed.of({"next": 5, "done": [], "stopped": ["401", 7]}) == Passed(5, stopped=("401", 7))
