"""The smallest configuration, with one key changed, and what is said of a mistake in it."""

import copy

import pytest

from adagen.config import parse_config
from adagen.runtime.errors import AdagenError

MINIMAL = {
    "name": "toy",
    "results": "results",
    "resources": "resources",
    "generators": {
        "tokens": {"paradigm": "maskgit"},
        "scales": {"paradigm": "var"},
        "noise": {"paradigm": "dit"},
        "flow": {"paradigm": "sit"},
    },
    "experiments": {"toy_t4": {"generator": "tokens"}},
}


def with_value(key: str, value: object) -> dict[str, object]:
    """The minimal config with one key set, e.g. "generators.flow.network.width"."""
    content = copy.deepcopy(MINIMAL)
    *sections, last = key.split(".")
    inner = content
    for section in sections:
        inner = inner.setdefault(section, {})
    inner[last] = value
    return content


def complaint(content: object, source: str = "toy.yaml") -> str:
    with pytest.raises(AdagenError) as caught:
        parse_config(content, source)
    message = str(caught.value)
    assert message.startswith(f"{source}: ")
    assert "\n" not in message and len(message) < 400
    return message
