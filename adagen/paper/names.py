"""Names of methods and paradigms in print, and the methods that are compared."""

import re

from adagen.config.runs import Run

METHOD_NAMES = {
    "handmade": "hand-made",
    "halton": "Halton order",
    "logsnr_time": "log-SNR times",
    "gits": "GITS",
    "interval": "guidance interval",
    "tuned": "tuned static",
    "tuned_class": "tuned by class",
    "static": "learned static",
    "released": "AdaGen, released",
    "adagen": "AdaGen",
    "stopping": "AdaGen, stopping",
    "faithful": "AdaGen, faithful",
}
PAIRS = (
    ("adagen", "handmade"),
    ("adagen", "halton"),
    ("adagen", "logsnr_time"),
    ("adagen", "gits"),
    ("adagen", "interval"),
    ("adagen", "tuned"),
    ("adagen", "tuned_class"),
    ("adagen", "static"),
    ("static", "tuned"),
    ("tuned_class", "tuned"),
    ("released", "handmade"),
    ("faithful", "adagen"),
)
"""Which method is compared with which."""
PARADIGM_NAMES = {"maskgit": "MaskGIT", "var": "VAR", "dit": "DiT", "sit": "SiT"}
"""Built-in paradigms; one of another package goes by the name that it registers."""


def escape(text: str) -> str:
    """`text` with LaTeX's special characters made harmless."""
    text = re.sub(r"([_&%#${}])", r"\\\1", text)
    return text.replace("~", r"\textasciitilde{}").replace("^", r"\textasciicircum{}")


def run_in_print(run: Run) -> str:
    """Name of a run in print: `AdaGen, seed 0 + best4` of `adagen_seed0+best4`."""
    name = METHOD_NAMES[run.method] if run.fidelity is None else f"λ = {run.fidelity:g}"
    seed = "" if run.seed is None else f", seed {run.seed}"
    return f"{name}{seed}{' + ' if run.refinement else ''}{run.refinement}"
