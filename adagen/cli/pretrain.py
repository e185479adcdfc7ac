"""Frozen networks: fitted here, or taken over from released files."""

from pathlib import Path

from adagen.cli.common import claim_checkpoint, device_of, remove_checkpoint
from adagen.config import ClipPreference, Config, DinoFeatures
from adagen.data.released import asset_path
from adagen.data.split import inventory, load_dataset
from adagen.generators import build
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import write_json


def pretrain(config: Config, target: str, *, out: Path, checkpoint: Path | None) -> None:
    """Make what `target` names: a generator, "metrics", "reward" or "preference".

    Networks with released weights are taken over from their assets, the others are fitted.

    Raises:
        AdagenError: the config has no such generator, or an asset is missing or not what it
            should be.
    """
    if target == "metrics":
        _metrics(config, out, checkpoint=checkpoint)
    elif target == "reward":
        _reward(config, out, checkpoint=checkpoint)
    elif target == "preference":
        _preference(config, out, checkpoint=checkpoint)
    elif target in config.generators:
        _generator(config, target, out=out, checkpoint=checkpoint)
    else:
        known = ", ".join([*config.generators, "metrics", "reward", "preference"])
        raise AdagenError(f"nothing called {target!r} can be pretrained: choose one of {known}.")
    remove_checkpoint(checkpoint)


def dataset(config: Config, out: Path) -> None:
    """Look through the data set without decoding it, and write what is there."""
    write_json(out, inventory(config.dataset))


def _metrics(config: Config, out: Path, *, checkpoint: Path | None) -> None:
    evaluation = config.evaluation
    if evaluation.protocol != "embedded":
        from adagen.evaluation.inception.meter import adopt

        asset = asset_path(config.assets, evaluation.inception.weights)
        adopt(asset, evaluation.inception, protocol=evaluation.protocol, out=out)
        return
    from adagen.evaluation.embedded.networks import fit_metric_networks

    claim_checkpoint(checkpoint, "metrics", config.dataset, evaluation.networks)
    split = load_dataset(config.dataset)
    networks = fit_metric_networks(
        evaluation.networks, split, checkpoints=checkpoint, device=device_of(config)
    )
    networks.save(out)
    print(
        f"held-out images: classifier accuracy {networks.heldout_accuracy:.2%}, "
        f"denoising error {networks.heldout_denoising_error:.4f}"
    )


def _reward(config: Config, out: Path, *, checkpoint: Path | None) -> None:
    settings = config.reward_features
    if isinstance(settings, DinoFeatures):
        from adagen.rewards.dino import adopt

        adopt(asset_path(config.assets, settings.weights), settings, out=out)
        return
    from adagen.rewards.features import fit_reward_features, save_reward_features

    claim_checkpoint(checkpoint, "reward", config.dataset, settings)
    resume = checkpoint and checkpoint / "reward.ckpt"
    train = load_dataset(config.dataset).train
    features = fit_reward_features(settings, train, checkpoint=resume, device=device_of(config))
    save_reward_features(out, features, image_shape=list(train.images.shape[1:]))


def _preference(config: Config, out: Path, *, checkpoint: Path | None) -> None:
    settings = config.preference
    if isinstance(settings, ClipPreference):
        from adagen.rewards.clip import adopt_clip

        asset, names = (
            asset_path(config.assets, settings.weights),
            inventory(config.dataset)["classes"],
        )
        adopt_clip(asset, settings, dataset=config.dataset, names=names, out=out)
        return
    from adagen.rewards.classifier import fit_preference, save_preference

    claim_checkpoint(checkpoint, "preference", config.dataset, settings)
    resume = checkpoint and checkpoint / "preference.ckpt"
    split = load_dataset(config.dataset)
    classifier = fit_preference(
        settings,
        split.train,
        classes=split.num_classes,
        checkpoint=resume,
        device=device_of(config),
    )
    save_preference(out, classifier, settings=settings, dataset=config.dataset)


def _generator(config: Config, name: str, *, out: Path, checkpoint: Path | None) -> None:
    settings = config.generators[name]
    if settings.weights is not None:
        backbone = build.released_backbone(settings, config.assets)
        channels, height, width = 3, settings.weights.image, settings.weights.image
    else:
        claim_checkpoint(checkpoint, name, config.dataset, settings)
        split = load_dataset(config.dataset)
        backbone = build.pretrain(
            name, settings, split=split, checkpoints=checkpoint, device=device_of(config)
        )
        _, channels, height, width = split.train.images.shape
    shape = (channels, height, width)
    build.save_backbone(
        out, name, backbone=backbone, settings=settings, dataset=config.dataset, image_shape=shape
    )
