"""What methods and paradigms are called in print, and which methods are compared."""

METHOD_NAMES = {
    "handmade": "hand-made",
    "halton": "Halton order",
    "logsnr_time": "log-SNR times",
    "interval": "guidance interval",
    "tuned": "tuned static",
    "static": "learned static",
    "released": "AdaGen, released",
    "adagen": "AdaGen",
    "faithful": "AdaGen, faithful",
}
PAIRS = (
    ("adagen", "handmade"),
    ("adagen", "halton"),
    ("adagen", "logsnr_time"),
    ("adagen", "interval"),
    ("adagen", "tuned"),
    ("adagen", "static"),
    ("static", "tuned"),
    ("released", "handmade"),
    ("faithful", "adagen"),
)
"""Which method is compared with which."""
PARADIGM_NAMES = {"maskgit": "MaskGIT", "var": "VAR", "dit": "DiT", "sit": "SiT"}
"""Of built-in paradigms; those of other packages go by the name that they register."""
