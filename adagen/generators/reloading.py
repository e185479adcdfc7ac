"""Building networks without values, filling them, and checking that a backbone can be reloaded."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import seeded

B = TypeVar("B", bound=nn.Module)
State = dict[str, torch.Tensor | float]


DRAWS = {
    f"{name}_"
    for name in ("bernoulli", "cauchy", "exponential", "geometric", "kaiming_uniform", "log_normal")
} | {"normal_", "random_", "uniform_"}
"""Methods of a tensor, and functions of `nn.init`, that fill it with random numbers."""
CHANGES = {"add_", "clamp_", "copy_", "div_", "erfinv_", "fill_", "mul_", "sub_", "zero_"}
"""Methods of a tensor that follow, and change its values alone."""


class NothingDrawn(TorchFunctionMode):
    """Draws no random numbers for tensors without values, and changes none.

    There is nothing to draw, but the first such call makes torch import its compiler, which takes
    a second and a half: more than small networks take to be built and filled.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensor = args[0] if args else kwargs.get("tensor")  # which `nn.init` passes by name
        if getattr(func, "__name__", "") in DRAWS | CHANGES and _is_meta(tensor):
            return tensor
        return func(*args, **kwargs)


def build_empty(build: Callable[[], B]) -> B:
    """Build networks whose parameters have shapes and no values, to be filled with a file's.

    Initialising billions of numbers only to replace them takes minutes. Buffers are computed as
    usual, because those that are not saved come from the constructor alone.

    Args:
        build: makes the networks. If it computes with the values of its parameters, which fails
            without them, the networks are built with values instead.
    """
    from accelerate import init_empty_weights

    with seeded("empty"):
        try:
            with init_empty_weights(include_buffers=False), NothingDrawn():
                return build()
        except AdagenError:
            raise
        except Exception:  # a constructor may fail in any way without values
            return build()


def fill(module: nn.Module, tensors: Mapping[str, torch.Tensor], *, source: str) -> None:
    """Give networks their values.

    Args:
        module: what `build_empty` made.
        tensors: its state, by key; they are used without a copy.
        source: the file they were read from, for errors.

    Raises:
        AdagenError: keys or shapes differ from those of the networks, or some tensors are left
            without values.
    """
    found = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    expected = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
    if found != expected:
        key = next(k for k in [*expected, *sorted(found)] if found.get(k) != expected.get(k))
        stored, built = (shapes.get(key, "missing") for shapes in (found, expected))
        raise AdagenError(
            f"{source} does not hold the tensors of {type(module).__name__}: {key!r}, by its shape "
            f"{stored} there, is {built} in the networks as they are built. What is saved has to "
            "exist, in its final shape, when the constructor ends."
        )
    module.load_state_dict(dict(tensors), assign=True)
    require_values(module, source=source)


def require_values(module: nn.Module, *, source: str) -> None:
    """Raise unless every tensor of a module has values.

    Raises:
        AdagenError: some were left without, after `source` was read; with their names.
    """
    if left := [key for key, value in _state(module) if _is_meta(value)]:
        raise AdagenError(
            f"{source} leaves {len(left)} tensors of {type(module).__name__} without values: "
            f"{', '.join(left[:5])}. They are computed from parameters, or are parameters that "
            "state_dict doesn't name: make each a parameter or a persistent buffer, or compute it "
            "when it is used."
        )


def reload_difference(backbone: nn.Module, build: Callable[[], nn.Module]) -> str | None:
    """Save a backbone's state in memory, read it into a second one, and compare the two.

    Compared are parameters, buffers, saved or not, and the tensors and floats that modules have as
    plain attributes.

    Args:
        backbone: the networks, trained or not.
        build: makes untrained ones with the same arguments.

    Returns:
        The first difference, or the reason why saving or reading failed; None if all is equal.
    """
    state = {key: t.detach().cpu().contiguous() for key, t in backbone.state_dict().items()}
    try:
        stored = safetensors.torch.load(safetensors.torch.save(state))
    except (RuntimeError, ValueError, KeyError, safetensors.SafetensorError) as error:
        return f"its state cannot be saved ({' '.join(str(error).split())})"
    try:
        again = build_empty(build)
        fill(again, stored, source="its saved state")
    except AdagenError as error:
        return str(error)
    before, after = dict(_state(backbone)), dict(_state(again))
    for name in [*before, *(name for name in after if name not in before)]:
        if name not in after:
            return f"{name} is missing after it was saved and read"
        if name not in before or not _equal(before[name], after[name]):
            return f"{name} differs after it was saved and read"
    return None


def require_reloadable(name: str, backbone: nn.Module, *, build: Callable[[], nn.Module]) -> None:
    """Raise unless a backbone can be read from the file that it will be saved in.

    Raises:
        AdagenError: a tensor would be lost or changed; it is named.
    """
    if found := reload_difference(backbone, build):
        raise AdagenError(
            f"the generator {name!r} ({type(backbone).__name__}) could not be read from its own "
            f"file: {found.rstrip('.')}. Everything it needs must be a parameter, a persistent "
            "buffer, or follow from the constructor's arguments without randomness."
        )


def _state(module: nn.Module) -> Iterator[tuple[str, torch.Tensor | float]]:
    """Every tensor of a module and of its children, and every float attribute, by its name."""
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)
    for place, child in module.named_modules():
        for name, value in vars(child).items():
            if isinstance(value, torch.Tensor | float):
                yield f"{place}.{name}".removeprefix("."), value


def _is_meta(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.is_meta


def _equal(one: torch.Tensor | float, other: torch.Tensor | float) -> bool:
    """True if two values have the same bits, as untrained parameters may hold NaN."""
    if not isinstance(one, torch.Tensor) or not isinstance(other, torch.Tensor):
        return type(one) is type(other) and bool(one == other)
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    bits = [x.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for x in (one, other)]
    return torch.equal(*bits)
