import pytest
import torch

from adagen.runtime.deferred import deferred_checks, require
from adagen.runtime.errors import AdagenError

GOOD, BAD = torch.ones(2, 3, dtype=torch.bool), torch.tensor([[True, True], [False, True]])


def named(name):
    return lambda index: AdagenError(f"{name} at {index}")


def test_a_check_is_made_at_once_or_at_the_end_of_a_block():
    require(GOOD, named("good"))
    with pytest.raises(AdagenError, match=r"bad at \[1, 0\]"):
        require(BAD, named("bad"))
    reached = []
    with pytest.raises(AdagenError, match="first at"), deferred_checks():
        require(GOOD, named("good"))
        require(BAD, named("first"))
        require(BAD, named("second"))
        reached.append(1)
    assert reached
    with pytest.raises(AdagenError, match="bad"):  # the block is over
        require(BAD, named("bad"))


def test_what_a_failed_check_led_to_is_not_what_is_told():
    with pytest.raises(AdagenError, match="bad") as caught, deferred_checks():
        require(BAD, named("bad"))
        raise IndexError("out of range")
    assert isinstance(caught.value.__cause__, IndexError)
    with pytest.raises(IndexError), deferred_checks():
        require(GOOD, named("good"))
        raise IndexError("out of range")
