"""Policies inside stock pipelines of diffusers (docs/diffusers.md).

from adagen.integrations.diffusers import steer

with steer(pipeline, policy):
    images = pipeline(prompts, num_inference_steps=32).images
"""

from adagen.runtime.errors import AdagenError

try:
    import diffusers  # noqa: F401
except ImportError:
    raise AdagenError(
        "diffusers is not installed, which adagen.integrations.diffusers works with: "
        "pip install 'adagen[diffusers]'."
    ) from None

from adagen.integrations.diffusers.steering import Steered, steer

__all__ = ["Steered", "steer"]
