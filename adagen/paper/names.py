"""What methods and paradigms are called in print."""

METHOD_NAMES = {
    "handmade": "hand-made",
    "tuned": "tuned static",
    "static": "learned static",
    "released": "AdaGen, released",
    "adagen": "AdaGen",
}
PARADIGM_NAMES = {"maskgit": "MaskGIT", "var": "VAR", "dit": "DiT", "sit": "SiT"}
