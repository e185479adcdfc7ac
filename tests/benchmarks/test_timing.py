from itertools import count

from benchmarks.figures import number
from benchmarks.timing import Spread, alternate, ratio


def test_contestants_take_turns_in_both_orders():
    order, clock = [], count()  # a clock that moves on by one whenever it is asked
    seconds = alternate(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")},
        repeats=3,
        clock=lambda: next(clock),
    )
    assert order == ["a", "b", *"ab", *"ba", *"ab"]
    assert seconds == {"a": [1, 1, 1], "b": [1, 1, 1]}


def test_what_is_short_is_called_several_times_in_a_turn():
    calls, now = [], [0.0]

    def short():
        calls.append(None)
        now[0] += 0.25

    seconds = alternate({"short": short}, repeats=1, least=1.0, clock=lambda: now[0])
    assert len(calls) == 1 + 1 + 4
    assert seconds == {"short": [0.25]}


def test_a_ratio_is_taken_round_by_round():
    spread = ratio({"a": [1, 4, 9], "b": [1, 2, 3]}, "a", "b")
    assert spread == Spread(2, 1.5, 2.5, 3)
    assert Spread.of([2.0]) == Spread(2.0, 2.0, 2.0, 1)


def test_a_number_has_few_digits():
    shown = [number(x) for x in (1.0, 1.0234, 0.01234, 1234.4, 25.04)]
    assert shown == ["1.00", "1.02", "0.012", "1,234", "25.0"]
