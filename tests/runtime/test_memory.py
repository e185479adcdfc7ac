"""Short memory is said in words, whoever notices it."""

import errno
import resource

import numpy as np
import pytest
import torch

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
