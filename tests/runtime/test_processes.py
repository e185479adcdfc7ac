"""Several processes make what one would have made."""

import pytest
import torch
from ranks import ranks
from spread import exchanges, trains

from adagen.runtime.errors import AdagenError
from adagen.runtime.processes import SINGLE_PROCESS, Processes


@pytest.mark.slow
def test_what_three_processes_share_is_what_one_makes(tmp_path):
    """Seven parts, so that the last turn isn't a whole one; in the order of the parts."""
    alone = exchanges(SINGLE_PROCESS)
    assert alone["made"] == list(range(7)) and alone["told"] == "said by 0"
    three = ranks(3, exchanges, tmp_path)
    assert [one["made"] for one in three] == [[0, 3, 6], [1, 4], [2, 5]]
    for one in three:
        for theirs, ours in zip(one["shared"], alone["shared"], strict=True):
            assert all(a.equal(b) and a.dtype == b.dtype for a, b in zip(theirs, ours, strict=True))
        assert one["joined"].tolist() == [list(range(8))] * 2
        # Sums in float64: what float32 would have lost is there.
        assert one["total"].tolist() == [6.0, pytest.approx(3e-9)]
        assert torch.cat([*map(torch.atleast_1d, one["agreed"])]).tolist() == [0.0, 0.0, 0.0]
        assert one["told"] == "said by 0"


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_each_process_has_a_part_of_its_own(count):
    parts = [Processes(rank, count).own_range(8, "things") for rank in range(count)]
    assert [i for part in parts for i in part] == list(range(8))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    with pytest.raises(AdagenError, match=r"training.trajectories: 1, but there are 2 processes"):
        Processes(0, 2).own_range(1, "training.trajectories")


@pytest.mark.slow
def test_two_processes_train_on_the_batch_of_one(tmp_path):
    alone, two = trains(SINGLE_PROCESS), ranks(2, trains, tmp_path)
    for baseline, ours in alone.items():
        first, second = (theirs[baseline] for theirs in two)
        assert first["losses"].shape == (10, 6)
        assert (first["losses"] - ours["losses"]).abs().max() < 1e-4
        for name in ("actor", "critic"):
            for key, value in ours[name].items():
                assert torch.allclose(first[name][key], value, atol=1e-4), key
                # The processes themselves never come apart.
                assert first[name][key].equal(second[name][key]), key
