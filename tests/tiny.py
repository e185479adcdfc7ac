"""A configuration whose every stage is real and takes moments."""

from typing import Any

FIT = {"updates": 3, "batch": 16}
"""A fit of a network, of any kind."""
NETWORKS = {"width": 8, "classifier": FIT, "autoencoder": FIT}
"""The networks that measure: `evaluation.networks`."""
REWARD = {"components": 4}
"""The reward, of the default kind: `training.reward`."""
TINY: dict[str, Any] = {
    "generators": {
        "flow": {
            "paradigm": "sit",
            "network": {"width": 16, "depth": 1, "heads": 2},
            "pretrain": FIT,
        }
    },
    "experiments": {"flow_t2": {"generator": "flow", "steps": 2}},
    "policy": {"hidden": 8, "pointwise": 4, "first": 8, "second": 8},
    "reward_features": {"network": {"width": 8, "depth": 1, "heads": 2}, "fit": FIT},
}
"""A flow at two steps: what `name`, `results`, `resources` and how much is trained and measured are
laid over."""
