"""Parts of `adagen pretrain`: networks that say how well an image shows its class or caption."""

from collections.abc import Sequence
from pathlib import Path

from adagen.cli.common import device_of, load_images
from adagen.config import AestheticPreference, ClipPreference, Config
from adagen.runtime.errors import AdagenError


def write_clip_score(config: Config, out: Path, *, checkpoint: Path | None) -> None:
    """Write the CLIP that gives samples their CLIP score, and the texts of all labels."""
    settings = config.evaluation.clip_score
    if settings is None:
        raise AdagenError(
            "the config has no section evaluation.clip_score, which names the CLIP: add it, "
            "`clip_score: {}` for example."
        )
    from adagen.data.released import open_asset
    from adagen.evaluation.clip_score import KIND
    from adagen.networks.clip import adopt_clip

    names = _names(config)
    with open_asset(config.assets, settings.weights) as asset:
        _require_no_reward(config, asset)
        adopt_clip(
            asset,
            settings,
            kind=KIND,
            dataset=config.dataset,
            names=names,
            out=out,
            device=device_of(config),
        )


def _names(config: Config) -> Sequence[str]:
    """The names of the classes, or the captions, in the order of their labels."""
    if config.dataset.captions:
        return load_images(config).class_names
    from adagen.data.inventory import overview

    names: list[str] = overview(config.dataset)["classes"]
    return names


def _require_no_reward(config: Config, asset: Path) -> None:
    """Refuse weights that reward in this configuration, under whatever name.

    Raises:
        AdagenError: the file of the pre-trained reward has the same bytes.
    """
    from adagen.data.released import asset_path, needed
    from adagen.runtime.hashing import file_hash

    name = getattr(config.preference, "weights", "")
    if name not in needed(config) or not (path := asset_path(config.assets, name)).exists():
        return
    if path.stat().st_size == asset.stat().st_size and file_hash(path) == file_hash(asset):
        raise AdagenError(
            f"{asset} has the same weights as the asset {name!r}, which rewards "
            "(preference.weights): a network that rewards must not measure. Take those of another "
            "CLIP for evaluation.clip_score."
        )


def write_preference(config: Config, out: Path, *, checkpoint: Path | None) -> None:
    """Write the network that says how well an image shows its class: fitted, or CLIP."""
    settings = config.preference
    if isinstance(settings, ClipPreference):
        from adagen.data.released import open_asset
        from adagen.networks.clip import adopt_clip
        from adagen.rewards.classifier import KIND

        names = _names(config)
        with open_asset(config.assets, settings.weights) as asset:
            adopt_clip(
                asset,
                settings,
                kind=KIND,
                dataset=config.dataset,
                names=names,
                out=out,
                device=device_of(config),
            )
        return
    if isinstance(settings, AestheticPreference):
        from adagen.data.released import open_asset
        from adagen.rewards.aesthetic import adopt_aesthetic

        with (
            open_asset(config.assets, settings.weights) as asset,
            open_asset(config.assets, settings.head) as head,
        ):
            adopt_aesthetic(asset, head, settings=settings, dataset=config.dataset, out=out)
        return
    from adagen.rewards.classifier import fit_preference, save_preference
    from adagen.runtime.checkpoints import claim_checkpoint, remove_checkpoint

    claim_checkpoint(checkpoint, "preference", config.dataset, settings)
    resume = checkpoint and checkpoint / "preference.ckpt"
    split = load_images(config).classified
    classifier = fit_preference(
        settings,
        split.train,
        classes=split.num_classes,
        checkpoint=resume,
        device=device_of(config),
    )
    save_preference(
        out,
        classifier,
        settings=settings,
        dataset=config.dataset,
        class_names=split.class_names,
    )
    remove_checkpoint(checkpoint)
