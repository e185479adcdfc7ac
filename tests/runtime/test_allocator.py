import ctypes
import platform

import pytest
from toy import Toy

from adagen.policy.networks import HandMade
from adagen.runtime import allocator
from adagen.runtime.allocator import keep_freed_memory
from adagen.runtime.devices import choose_device
from adagen.sampling.sampler import Sampler


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_the_gnu_library_takes_the_settings():
    assert keep_freed_memory({})


@pytest.mark.parametrize("name", allocator.VARIABLES)
def test_a_users_own_settings_stay(name, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("the C library is asked"))
    assert not keep_freed_memory({name: "131072"})


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_other_libraries_are_left_alone(error, monkeypatch):
    def library(_: None) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", library)
    assert not keep_freed_memory({})


def test_whoever_computes_on_a_cpu_keeps_memory(monkeypatch):
    asked: list[bool] = []
    monkeypatch.setattr("adagen.runtime.devices.keep_freed_memory", lambda: asked.append(True))
    choose_device("meta")
    assert asked == []
    choose_device("cpu")
    assert asked == [True]


def test_samplers_of_generator_objects_keep_memory_too(monkeypatch):
    asked: list[bool] = []
    monkeypatch.setattr("adagen.sampling.sampler.keep_freed_memory", lambda: asked.append(True))
    Sampler(Toy(), HandMade(1))
    assert asked == [True]
