"""The checked configuration of a run, in a file that is named after the hash of its content."""

import hashlib
import re
from pathlib import Path

from adagen.config.run import Config
from adagen.runtime.atomic import atomic_path
from adagen.runtime.documents import dump_yaml
from adagen.runtime.errors import AdagenError

NAME = re.compile(r"config-([0-9a-f]{12})\.yaml")


def store_config(config: Config, folder: Path) -> Path:
    """Keep a configuration in a file named after its content, for the stages to read.

    `--configfile` and `--config` are merged in memory; a job, perhaps on another machine, needs
    exactly what this run was planned with. A later run with other settings writes another file. One
    that was damaged or edited is written anew.

    Raises:
        AdagenError: the folder can't be written.
    """
    text = dump_yaml(config.model_dump(mode="json"))
    path = folder / f"config-{_digest(text.encode())}.yaml"
    if not path.is_file() or path.read_bytes() != text.encode():
        with atomic_path(path) as temporary:
            temporary.write_bytes(text.encode())
    return path


def require_as_stored(path: Path, content: bytes) -> None:
    """Refuse what was read from a stored configuration if it is not what was written.

    Files of other names are configurations of users, who may write what they like.

    Raises:
        AdagenError: the content doesn't have the hash that the name says.
    """
    name = NAME.fullmatch(path.name)
    if name and name[1] != _digest(content):
        raise AdagenError(
            f"{path} is not the configuration that was stored there: its content doesn't have the "
            "hash in its name, so it was cut short or edited. Repeat the command of snakemake, "
            "which writes it anew; give an edited one another name."
        )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
