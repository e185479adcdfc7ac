"""Whatever lies around a network's weights, the averaged ones are found, or the file is refused."""

import argparse
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adagen.data.wrappers import WRAPPERS, LayoutError, find_weights

KEYS = ("embed.weight", "blocks.0.qkv.weight", "blocks.0.qkv.bias", "pos", "out.bias")
State = dict[str, torch.Tensor]
PLAIN: State = {key: torch.zeros(2) for key in KEYS}
MEAN: State = {key: torch.ones(2) for key in KEYS}

AVERAGED = (
    "ema",
    "model_ema",
    "ema_model",
    "ema_params",
    "params_ema",
    "state_dict_ema",
    "ema_state_dict",
    "ema-0.9999",
    "modelEMA",
    "swa_model",
    "shadow",
)
PREFIXES = ("module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "net.", "")
BESIDE: dict[str, Any] = {
    "epoch": 3,
    "step": torch.tensor(7),
    "ema_decay": 0.999,
    "args": argparse.Namespace(lr=1e-4, ema=True),
    "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-4}]},
    "var_opt": {"state": {0: {"ema": torch.ones(3)}}},
    "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}}],
    "loss": [1.0, 2.0],
    "ema_losses": [],
    "best": None,
}

beside = st.sets(st.sampled_from(sorted(BESIDE))).map(lambda names: {n: BESIDE[n] for n in names})
prefixed = st.lists(st.sampled_from(PREFIXES), max_size=2).map("".join)
wrappers = st.lists(st.tuples(st.sampled_from(WRAPPERS), beside), max_size=3)


def under(prefix: str, state: State) -> State:
    return {f"{prefix}{key}": value for key, value in state.items()}


def within(layers: list[tuple[str, dict[str, Any]]], content: Any) -> Any:
    for name, others in layers:
        content = {name: content, **others}
    return content


def side_by_side(draw: Callable[[Any], Any]) -> Any:
    """Averaged weights beside the others."""
    plain = within(draw(wrappers), under(draw(prefixed), PLAIN))
    mean = within(draw(wrappers), under(draw(prefixed), MEAN))
    both = [(draw(st.sampled_from(WRAPPERS)), plain), (draw(st.sampled_from(AVERAGED)), mean)]
    return {**dict(draw(st.permutations(both))), **draw(beside)}


def far_away(draw: Callable[[Any], Any]) -> Any:
    """Averaged weights where a callback keeps them."""
    callbacks = {
        "callbacks": {"EMACallback": within([(draw(st.sampled_from(AVERAGED)), {})], MEAN)}
    }
    return {"state_dict": under(draw(prefixed), PLAIN), **callbacks}


def in_one(draw: Callable[[Any], Any]) -> Any:
    """Both in one mapping, as modules of one module."""
    name = draw(st.sampled_from(AVERAGED)).replace(".", "")
    groups = {**under("online_model.", PLAIN), **under(f"{name}.", under(draw(prefixed), MEAN))}
    return under(draw(prefixed), {**groups, "initted": torch.tensor(True)})


def without_dots(draw: Callable[[Any], Any]) -> Any:
    """As latent diffusion keeps them."""
    mean = {f"model_ema.{key.replace('.', '')}": value for key, value in MEAN.items()}
    counters = {"model_ema.decay": torch.tensor(0.999), "model_ema.num_updates": torch.tensor(3)}
    return {"state_dict": {**under("model.", PLAIN), **mean, **counters, "betas": torch.ones(1)}}


def counted(draw: Callable[[Any], Any]) -> Any:
    """As torch's AveragedModel keeps them."""
    mean = {"n_averaged": torch.tensor(3), **under("module.", under(draw(prefixed), MEAN))}
    return {draw(st.sampled_from(WRAPPERS)): PLAIN, draw(st.sampled_from(AVERAGED)): mean}


FORMS = (side_by_side, far_away, in_one, without_dots, counted)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), form=st.sampled_from(FORMS), known=st.booleans())
def test_averaged_weights_are_found(data, form, known):
    content = within(data.draw(wrappers), form(data.draw))
    found = find_weights(content, KEYS if known else ())
    assert found.keys() == MEAN.keys() and all(value.all() for value in found.values())


@settings(max_examples=30, deadline=None)
@given(layers=wrappers, prefix=prefixed, known=st.booleans(), mean=st.sampled_from(AVERAGED))
def test_weights_without_an_average_are_found(layers, prefix, known, mean):
    """Also where a file has the name of averaged weights, and nothing in it."""
    for empty in ({}, None, 0.9999, {"decay": 0.9}):
        content = within(layers, {"model": under(prefix, PLAIN), mean: empty})
        found = find_weights(content, KEYS if known else ())
        assert found.keys() == PLAIN.keys() and not any(v.any() for v in found.values())


names = st.sampled_from((*WRAPPERS, "discriminator", "G", "teacher", "stage1.0", "_"))
trees = st.recursive(
    st.sampled_from([3, None, torch.tensor(5), [torch.ones(2)], PLAIN, under("net.", PLAIN)]),
    lambda inner: st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(tree=trees, place=st.lists(names, max_size=3), mean=st.sampled_from(AVERAGED), at=st.data())
def test_other_weights_never_pass_for_the_averaged(tree, place, mean, at):
    """Somewhere in an arbitrary file lie averaged weights: they are found, or it is refused."""
    content = within([(mean, {}), *((name, {}) for name in place)], MEAN)
    if isinstance(tree, dict) and tree.keys().isdisjoint(content):
        content = {**tree, **content}
    try:
        found = find_weights(content, at.draw(st.sampled_from([(), KEYS])))
    except LayoutError:
        return
    assert not any(value is other for value in found.values() for other in PLAIN.values())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            {"model": PLAIN, "ema": {"shadow_params": [torch.ones(2)]}},
            r"by key \(ema\.shadow_params",
        ),
        ({"ema": PLAIN, "model_ema": MEAN}, r"several sets of averaged weights \(ema, model_ema\)"),
        ({"ema": {"0.999": PLAIN, "0.9999": MEAN}}, r"\(ema\.0\.999, ema\.0\.9999\)"),
        ({"model": PLAIN, "optimizer_states": [{"ema": [torch.ones(2)]}]}, r"not by key"),
        ({"model": PLAIN, "opt": {"ema": MEAN}}, r"not by key \(opt\.ema\)"),
        ({"model": PLAIN, "emamodel": MEAN}, r"several sets of weights \(model, emamodel\)"),
        ({"model": PLAIN, "extra": {"target": under("module.", MEAN)}}, r"extra\.target"),
        ({"student": PLAIN, "teacher": MEAN}, r"several sets of weights \(student, teacher\)"),
        ({"model": PLAIN, "network": MEAN}, r"several sets of weights \(model, network\)"),
        ({**under("a.", PLAIN), **under("b.", MEAN)}, r"several networks .* \(a\., b\.\)"),
        ({**under("ema.", PLAIN), **under("ema2.", MEAN)}, "several sets of averaged weights"),
        ({**PLAIN, **under("_orig_mod.", MEAN)}, "twice, compiled and not"),
        (
            {**under("a.net.", PLAIN), "a.ema.other": torch.ones(1), "a.x.y": torch.ones(1)},
            "averaged weights too, but with other keys",
        ),
    ],
)
def test_what_cannot_be_told_is_refused(content, told):
    with pytest.raises(LayoutError, match=told):
        find_weights(content, KEYS)


def test_the_network_that_is_wanted_is_told_from_others_by_its_keys():
    loss = {"loss.lpips.weight": torch.ones(1), "metric.weight": torch.ones(1)}
    for content in (
        {"state_dict": {**under("model.", PLAIN), **loss}},
        {"trainer": {"var_wo_ddp": {"head.weight": torch.ones(1)}, "vae_local": PLAIN}},
        {"ema": {"G": PLAIN, "D": {"weight": torch.ones(1)}}, "model": {"weight": torch.ones(2)}},
    ):
        assert find_weights(content, KEYS) == PLAIN


def test_names_of_the_network_itself_stay():
    """Layers may be called like wrappers, and buffers hold averages of their own."""
    own = {"model.weight": torch.ones(1), "model.ema.bias": torch.ones(1)}
    assert find_weights({"model": own}, own.keys()) == own
    codebook = {"quantize.ema_vocab_hit": torch.ones(1), "quantize.embedding": torch.ones(1)}
    assert find_weights({"state_dict": codebook}) == codebook


def test_a_file_that_refers_to_itself():
    content: dict[str, Any] = {"epoch": 1}
    content["again"] = content
    assert find_weights(content) == {}
    content["model"] = PLAIN
    assert find_weights(content) == PLAIN
