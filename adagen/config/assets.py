"""Released files: what is known of each, and where they are kept."""

from typing import Self

from pydantic import Field, model_validator

from adagen.config.base import Model


class Asset(Model):
    """A file that others published."""

    file: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    """Its name in the folder of assets, and in a mirror."""
    url: str = ""
    """Where it is published. Empty: nowhere that a program could fetch it from (see `manual`)."""
    mirrors: tuple[str, ...] = ()
    """Other addresses of the same bytes, tried in turn."""
    size: int = Field(0, ge=0)
    """Bytes; 0 where nobody has published them."""
    sha256: str = Field("", pattern=r"^([0-9a-f]{8,64})?$")
    """SHA-256 in hexadecimal, or its first digits where only those are published. Empty: pinned by
    the first download."""
    licence: str
    """Under which terms."""
    description: str
    """What it is."""
    manual: str = ""
    """What to do by hand, where a login or a request is needed."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.url and not self.manual:
            raise ValueError(f"{self.file} has neither url nor manual: say how to get it")
        return self


class Assets(Model):
    """The released files that a run uses."""

    folder: str = "resources/assets"
    """Where they are kept; several configurations may share it."""
    catalogue: dict[str, Asset] = Field(default_factory=dict)
    """Files by name, beside and instead of those of adagen/data/assets.yaml."""
