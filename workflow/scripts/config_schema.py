"""Print the JSON schema of the configuration; `make schema` puts it in its place.

It is generated from adagen.config and never edited; a test fails while the two differ.
"""

import json

from adagen.config import Config

# Snakemake asks for the dialect; pydantic writes this one without saying so.
SCHEMA = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Config.model_json_schema()

if __name__ == "__main__":
    print(json.dumps(SCHEMA, indent=2))
