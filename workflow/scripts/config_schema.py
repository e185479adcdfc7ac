"""Print the JSON schema of a config file, for editors; `make schema` puts it in its place.

The config files name it in their first line. It is generated from adagen.config and never edited;
a test fails while the two differ. Runs are checked by adagen.config itself.
"""

import json
from typing import Any

from adagen.config import Config
from adagen.config.loading import EXTENDS

DIALECT = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
BELOW = {"type": "string", "description": "File that this one is laid over."}


def editor_schema() -> dict[str, Any]:
    """The schema of a file by itself, which may hold a part of what lies over another file."""
    schema: dict[str, Any] = _partial(Config.model_json_schema())
    return {**DIALECT, **schema, "properties": {EXTENDS: BELOW, **schema["properties"]}}


def _partial(schema: Any) -> Any:
    """A schema in which no key is required, and null takes any section out.

    A part of a section may be one of several kinds of it, so `oneOf` becomes `anyOf`.
    """
    if isinstance(schema, list):
        return [_partial(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    partial = {key: _partial(value) for key, value in schema.items()}
    for key in ("required", "discriminator"):
        partial.pop(key, None)
    if "oneOf" in partial:
        partial["anyOf"] = partial.pop("oneOf")
    if partial.get("type") == "object":
        partial["type"] = ["object", "null"]
    return partial


if __name__ == "__main__":
    print(json.dumps(editor_schema(), indent=2))
