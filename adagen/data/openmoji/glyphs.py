"""The glyphs that scenes are made of: their names in captions, their groups, and their colours."""

GROUPS: dict[str, dict[str, str]] = {
    "animal": {
        "dog": "\U0001f436",
        "cat": "\U0001f431",
        "fox": "\U0001f98a",
        "bear": "\U0001f43b",
        "panda": "\U0001f43c",
        "pig": "\U0001f437",
        "frog": "\U0001f438",
        "lion": "\U0001f981",
        "penguin": "\U0001f427",
        "turtle": "\U0001f422",
        "snail": "\U0001f40c",
        "whale": "\U0001f433",
        "fish": "\U0001f41f",
        "bird": "\U0001f426",
        "butterfly": "\U0001f98b",
    },
    "food": {
        "apple": "\U0001f34e",
        "banana": "\U0001f34c",
        "pineapple": "\U0001f34d",
        "watermelon": "\U0001f349",
        "carrot": "\U0001f955",
        "pizza": "\U0001f355",
        "hamburger": "\U0001f354",
        "cupcake": "\U0001f9c1",
        "mushroom": "\U0001f344",
    },
    "plant": {
        "tree": "\U0001f333",
        "fir": "\U0001f332",
        "cactus": "\U0001f335",
        "palm": "\U0001f334",
        "sunflower": "\U0001f33b",
        "tulip": "\U0001f337",
    },
    "vehicle": {
        "car": "\U0001f697",
        "bus": "\U0001f68c",
        "bicycle": "\U0001f6b2",
        "rocket": "\U0001f680",
        "sailboat": "\u26f5",
    },
    "sky": {
        "sun": "\u2600",
        "moon": "\U0001f319",
        "cloud": "\u2601",
        "rainbow": "\U0001f308",
        "snowman": "\u26c4",
    },
    "shape": {
        "heart": "\u2764",
        "circle": "\U0001f534",
        "square": "\U0001f7e5",
        "star": "\u2b50",
    },
    "object": {
        "balloon": "\U0001f388",
        "book": "\U0001f4d5",
        "umbrella": "\u2602",
        "shirt": "\U0001f455",
        "crown": "\U0001f451",
        "bell": "\U0001f514",
        "key": "\U0001f511",
        "house": "\U0001f3e0",
        "clock": "\u23f0",
        "robot": "\U0001f916",
        "ghost": "\U0001f47b",
    },
}
"""The glyphs of each group, by the name that captions give them."""

NAMES: dict[str, str] = {name: glyph for group in GROUPS.values() for name, glyph in group.items()}
"""All glyphs by name."""

Tones = tuple[str, ...]
"""Colours of a surface in light and in shade, as six hexadecimal digits; or in light only."""

COLOUR_TONES: dict[str, Tones] = {
    "red": ("ea5a47", "d22f27"),
    "orange": ("f4aa41", "e27022"),
    "yellow": ("fcea2b", "f1b31c"),
    "green": ("5c9e31", "3f7020"),
    "blue": ("61b2e4", "1e50a0"),
    "purple": ("8967aa", "6b4d8c"),
    "pink": ("ffa7c0", "e67a94"),
    "brown": ("a57939", "6a462f"),
}
"""The tones of each colour; most are of OpenMoji's own palette."""
COLOURS = tuple(COLOUR_TONES)

COLOURED: dict[str, Tones] = {
    "fish": ("92d3f5",),
    "bird": ("a57939", "6a462f"),
    "butterfly": ("92d3f5",),
    "apple": ("ea5a47", "d22f27"),
    "mushroom": ("ea5a47", "d22f27"),
    "tulip": ("f4aa41", "e27022"),
    "car": ("ea5a47", "d22f27"),
    "bicycle": ("ea5a47",),
    "heart": ("d22f27",),
    "circle": ("d22f27",),
    "square": ("d22f27",),
    "star": ("fcea2b",),
    "balloon": ("ea5a47", "d22f27"),
    "book": ("d22f27",),
    "umbrella": ("b399c8", "8967aa"),
    "shirt": ("61b2e4",),
    "crown": ("fcea2b", "f1b31c"),
    "bell": ("fcea2b", "f1b31c"),
}
"""The glyphs that take any colour, with the tones that are replaced."""
