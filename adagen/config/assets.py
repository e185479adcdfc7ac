"""Released files: what is known of each, and where they are kept."""

from typing import Self

from pydantic import Field, model_validator

from adagen.config.base import Model
from adagen.config.values import OutputFolder, require_name


class Asset(Model):
    """A file that others published."""

    file: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=200)
    """Name of the file in the folder of assets, and in a mirror."""
    url: str = ""
    """Address of the file. It is empty if a program cannot fetch the file (see `manual`)."""
    mirrors: tuple[str, ...] = ()
    """Other addresses of the same bytes, which are tried in turn."""
    size: int = Field(0, ge=0, le=2**44)
    """Size in bytes; 0 if nobody published it."""
    sha256: str = Field("", pattern=r"^([0-9a-f]{8,64})?$")
    """SHA-256 in hexadecimal, or its first digits if only those are published. If it is empty, the
    first download sets it."""
    licence: str
    """Licence of the file."""
    description: str
    """Content of the file."""
    manual: str = ""
    """Steps to do by hand, if a login or a request is needed."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.url and not self.manual:
            raise ValueError(f"{self.file} has neither url nor manual: say how to get it")
        return self


class Assets(Model):
    """Released files."""

    folder: OutputFolder = "resources/assets"
    """Folder in which they are kept; several configurations may share it."""
    catalogue: dict[str, Asset] = Field(default_factory=dict)
    """Files by name, in addition to those of adagen/data/assets.yaml, or instead of them."""

    @model_validator(mode="after")
    def _usable_names(self) -> Self:
        for name in self.catalogue:
            require_name("catalogue", name, becomes="an argument of `adagen fetch`")
        return self
