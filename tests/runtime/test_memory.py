"""Short memory is said in words, whoever notices it."""

import errno
import resource

import numpy as np
import pytest
import torch

from adagen.config import Fit
from adagen.data.weights import read_released
from adagen.runtime.checkpoints import load_checkpoint, save_checkpoint
from adagen.runtime.errors import AdagenError
from adagen.runtime.memory import explain_memory, warning_of_memory


def test_errors_of_each_library_are_known():
    for request in (lambda: torch.empty(2**57), lambda: np.empty(2**57), lambda: bytearray(2**60)):
        with pytest.raises((RuntimeError, MemoryError)) as raised:
            request()
        assert "main memory does not suffice" in explain_memory(raised.value)


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (MemoryError(), True),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (ImportError("No module named 'wandb'"), False),
        (RuntimeError("shapes differ"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_other_errors_stay_what_they_are(error, known):
    assert bool(explain_memory(error)) is known


def test_a_limit_that_torch_does_not_fit_in_is_said_before(monkeypatch):
    assert warning_of_memory() == ""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (3 * 10**9, 3 * 10**9))
    assert "`ulimit -v` limits this process to 3.0 GB" in warning_of_memory()
    assert "(`ulimit -v` limits this process to 3.0 GB)" in explain_memory(MemoryError("x"))


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("unable to mmap: Cannot allocate memory (12)")]
)
def test_a_good_file_that_memory_is_too_short_for_is_not_damaged(tmp_path, monkeypatch, error):
    settings, path = Fit(), tmp_path / "run.ckpt"
    for update in (1, 2):
        save_checkpoint(path, "run", settings=settings, state={"update": update})
    torch.save({"a": torch.ones(2)}, tmp_path / "weights.pt")
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}

    def short(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch, "load", short)
    with pytest.raises(type(error)) as raised:
        load_checkpoint(path, "run", settings=settings)
    assert explain_memory(raised.value)
    with pytest.raises(AdagenError, match="too little memory"):
        read_released(tmp_path / "weights.pt")
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
