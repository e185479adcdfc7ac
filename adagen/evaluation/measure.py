"""Measuring images against a reference file, without a configuration."""

import hashlib
from pathlib import Path
from typing import Any, Protocol

import torch

from adagen import config
from adagen.data.samples import KIND as SAMPLES
from adagen.data.samples import Samples
from adagen.evaluation.evaluate import measure_images
from adagen.evaluation.image_sets import ImageSets, open_images
from adagen.evaluation.protocols import load_meter
from adagen.runtime.arguments import require_count, require_path
from adagen.runtime.devices import choose_device
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_metadata
from adagen.runtime.hashing import file_hash

REFERENCE, NETWORKS = "reference", "metrics"
"""Kinds of the files of reference statistics and of metric networks."""


class HasImages(Protocol):
    """Anything with images and labels, as the samples that a sampler returns."""

    @property
    def images(self) -> torch.Tensor:
        """(B, C, H, W) in [0, 1]."""
        ...

    @property
    def labels(self) -> torch.Tensor:
        """(B,) classes."""
        ...


def measure(
    images: str | Path | torch.Tensor | HasImages,
    reference: str | Path,
    *,
    networks: str | Path | None = None,
    device: str | torch.device = "auto",
    neighbours: int = config.Evaluation().neighbours,
) -> dict[str, Any]:
    """Distances and other metrics of images, by the protocol of a reference.

    Args:
        images: what a sampler returned; a tensor (N, C, H, W) in [0, 1]; a folder of image files;
            an npz file of 8-bit images ("arr_0"); or a folder of `adagen sample`.
        reference: file written by `adagen reference`.
        networks: file written by `adagen pretrain metrics`; by default the one in the folder of
            the reference that the reference was computed with.
        device: "cpu", "cuda" or "auto", which takes a GPU if there is one.
        neighbours: k of the k-nearest-neighbour precision and recall.

    Returns:
        Every metric by its name ("fid", "precision", "recall" and more; None where the protocol
        has no such metric); "protocol", which names data set, networks and version; "count",
        images in a set; and what `adagen measure` writes beside these: "sets", "mean", "source",
        "kind", "reference_count", "hashes". Numbers of different protocols can't be compared.

    Raises:
        AdagenError: there are no such images, or too few, or of another size than the networks';
            or a file is missing, damaged or of another kind, or the two files don't belong
            together.
    """
    neighbours = require_count("neighbours", neighbours)
    reference = require_path(
        "reference", reference, content="the file that `adagen reference` wrote"
    )
    chosen, source = choose_device(str(device)), _image_sets(images)
    about = load_metadata(reference, REFERENCE)
    networks = Path(networks) if networks else _networks_beside(reference, about["networks_hash"])
    settings = _protocol_settings(networks, neighbours)
    dataset = _dataset(settings, networks=networks, reference=reference)
    if source.kind == SAMPLES:
        found = Samples.open(source.path).about["dataset"]
        if found != dataset.name:
            raise AdagenError(
                f"{source.path} holds samples of data set {found!r}, but {reference} is the "
                f"reference of {dataset.name!r}: give the reference of the samples' data set."
            )
    meter = load_meter(settings, dataset, networks=networks, reference=reference, device=chosen)
    whole = settings.protocol == "authors" and not dataset.captions
    content = measure_images(source, meter, whole_classes=whole)
    return {**content["mean"], **content}


def _networks_beside(reference: Path, expected: str) -> Path:
    """The file in the folder of a reference that holds the networks it was computed with."""
    for path in sorted(reference.parent.glob("*.safetensors")):
        try:
            load_metadata(path, NETWORKS)
        except AdagenError:
            continue
        if file_hash(path) == expected:
            return path
    raise AdagenError(
        f"{reference} was computed with metric networks of SHA-256 {expected[:12]}..., and no such "
        f"file lies in {reference.parent}: give `networks`, the file that `adagen pretrain "
        "metrics` wrote."
    )


def _protocol_settings(networks: Path, neighbours: int) -> config.Evaluation:
    """The settings of the protocol that a file of networks belongs to."""
    about = load_metadata(networks, NETWORKS)
    if "protocol" not in about:
        fitted = config.MetricNetworks.model_validate(about["settings"])
        return config.Evaluation(networks=fitted, neighbours=neighbours)
    return config.Evaluation(
        protocol=about["protocol"],
        inception=config.Inception(shrink=about["shrink"]),
        neighbours=neighbours,
    )


def _dataset(settings: config.Evaluation, *, networks: Path, reference: Path) -> config.Dataset:
    """The data set that the files of a protocol name themselves."""
    named = networks if settings.protocol == "embedded" else reference
    kind = NETWORKS if settings.protocol == "embedded" else REFERENCE
    found = load_metadata(named, kind).get("dataset", {})
    if captions := found.get("captions"):
        found = {**found, "captions": config.Captions.model_validate(captions)}
    # A released reference names its data set without a folder, which validation would refuse.
    return config.Dataset().model_copy(update=found)


def _image_sets(images: str | Path | torch.Tensor | HasImages) -> ImageSets:
    """The images in files or in memory."""
    if isinstance(images, str | Path):
        return open_images(Path(images))
    tensor = images if isinstance(images, torch.Tensor) else getattr(images, "images", None)
    labels = getattr(images, "labels", None)
    if not isinstance(tensor, torch.Tensor):
        raise AdagenError(
            f"images are of type {type(images).__name__}, which can't be measured: give what a "
            "sampler returned, a tensor (N, C, H, W) in [0, 1], a folder of images or an npz file."
        )
    pixels = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(pixels.numpy().tobytes()).hexdigest()
    sets = {"images": lambda: iter([pixels])}
    return ImageSets(Path("images in memory"), "tensor", lambda: digest, len(pixels), sets, labels)
