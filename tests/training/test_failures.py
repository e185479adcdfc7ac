"""What stops a training: images of another size, NaN, a full GPU; each says where."""

import math

import pytest
import torch
from torch import nn
from toy import ToyReward, no_validation, toy_training

from adagen.runtime.errors import AdagenError


def test_generated_images_of_another_size_than_the_real_are_refused(monkeypatch):
    run = toy_training("static")
    decode = run.generator.decode
    larger = nn.Upsample(scale_factor=2)
    monkeypatch.setattr(run.generator, "decode", lambda state: larger(decode(state)))
    with pytest.raises(AdagenError, match=r"shape \(1, 4, 4\) .*, but those .* have \(1, 2, 2\)"):
        run.run("toy", no_validation, checkpoint=None)


def test_nan_in_the_reward():
    run = toy_training("static", ToyReward(broken_at=3))
    with pytest.raises(AdagenError, match=r"the reward is not finite at update 3\. Lower"):
        run.run("toy", no_validation, checkpoint=None)


def test_nan_in_an_image(monkeypatch):
    run = toy_training("static")
    decode = run.generator.decode
    monkeypatch.setattr(run.generator, "decode", lambda state: decode(state) * math.nan)
    with pytest.raises(AdagenError, match="an image is not finite at update 1"):
        run.run("toy", no_validation, checkpoint=None)


def test_nan_in_the_warm_up(monkeypatch):
    run = toy_training("static")
    monkeypatch.setattr(run.reward, "warmup", 3)
    monkeypatch.setattr(run.reward, "learn", lambda *_, **__: math.nan)
    with pytest.raises(AdagenError, match="discriminator's loss is not finite in the warm-up"):
        run.run("toy", no_validation, checkpoint=None)


def test_nan_in_the_value_network():
    run = toy_training("static")
    next(run.critic.parameters()).data.fill_(math.nan)
    with pytest.raises(AdagenError, match="the PPO loss is not finite at update 1"):
        run.run("toy", no_validation, checkpoint=None)


def test_nan_in_the_policy():
    run = toy_training("static")
    run.actor.table.data.fill_(math.nan)
    with pytest.raises(AdagenError, match="level is not finite at call 0"):
        run.run("toy", no_validation, checkpoint=None)


def test_out_of_memory_names_the_keys_to_change(monkeypatch):
    def collect(*arguments, **keywords):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.83 GiB. GPU 0 has")

    monkeypatch.setattr("adagen.training.loop.collect", collect)
    with pytest.raises(AdagenError, match=r"CUDA out of memory.*training\.batch.*keep_features"):
        toy_training("static").run("toy", no_validation, checkpoint=None)
