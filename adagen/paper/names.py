"""What methods and paradigms are called in print, and which methods are compared."""

METHOD_NAMES = {
    "handmade": "hand-made",
    "tuned": "tuned static",
    "static": "learned static",
    "released": "AdaGen, released",
    "adagen": "AdaGen",
}
PAIRS = (
    ("adagen", "handmade"),
    ("adagen", "tuned"),
    ("adagen", "static"),
    ("static", "tuned"),
    ("released", "handmade"),
)
"""Which method is compared with which."""
PARADIGM_NAMES = {"maskgit": "MaskGIT", "var": "VAR", "dit": "DiT", "sit": "SiT"}
"""Of built-in paradigms; those of other packages go by the name that they register."""
