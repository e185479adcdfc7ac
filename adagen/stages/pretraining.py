"""Frozen networks: fitted here, or taken over from released files."""

from pathlib import Path

from adagen.assets import asset_path
from adagen.config import ClipPreference, Config, DinoFeatures
from adagen.data.split import inventory, load_dataset
from adagen.errors import AdagenError
from adagen.files import write_json
from adagen.generators import build
from adagen.stages.common import bind, device_of, forget


def pretrain(config: Config, target: str, out: Path, checkpoint: Path | None) -> None:
    """Make what `target` names: a generator, "metrics", "reward" or "preference".

    Networks with released weights are taken over from their assets, the others are fitted.

    Raises:
        AdagenError: the config has no such generator, or an asset is missing or not what it
            should be.
    """
    if target == "metrics":
        _metrics(config, out, checkpoint)
    elif target == "reward":
        _reward(config, out, checkpoint)
    elif target == "preference":
        _preference(config, out, checkpoint)
    elif target in config.generators:
        _generator(config, target, out, checkpoint)
    else:
        known = ", ".join([*config.generators, "metrics", "reward", "preference"])
        raise AdagenError(f"nothing called {target!r} can be pretrained: choose one of {known}.")
    forget(checkpoint)


def dataset(config: Config, out: Path) -> None:
    """Look through the data set without decoding it, and write what is there."""
    write_json(out, inventory(config.dataset))


def _metrics(config: Config, out: Path, checkpoint: Path | None) -> None:
    evaluation = config.evaluation
    if evaluation.protocol != "embedded":
        from adagen.evaluation.inception import adopt

        asset = asset_path(config.assets, evaluation.inception.weights)
        adopt(asset, evaluation.inception, evaluation.protocol, out)
        return
    from adagen.evaluation.networks import fit_metric_networks

    bind(checkpoint, "metrics", config.dataset, evaluation.networks)
    split = load_dataset(config.dataset)
    networks = fit_metric_networks(evaluation.networks, split, checkpoint, device=device_of(config))
    networks.save(out)
    print(
        f"held-out images: classifier accuracy {networks.heldout_accuracy:.2%}, "
        f"denoising error {networks.heldout_denoising_error:.4f}"
    )


def _reward(config: Config, out: Path, checkpoint: Path | None) -> None:
    settings = config.reward_features
    if isinstance(settings, DinoFeatures):
        from adagen.rewards.dino import adopt

        adopt(asset_path(config.assets, settings.weights), settings, out)
        return
    from adagen.rewards.features import fit_reward_features, save_reward_features

    bind(checkpoint, "reward", config.dataset, settings)
    resume = checkpoint and checkpoint / "reward.ckpt"
    train = load_dataset(config.dataset).train
    features = fit_reward_features(
        settings, train.images, train.labels, resume, train.flip, device_of(config)
    )
    save_reward_features(out, features, list(train.images.shape[1:]))


def _preference(config: Config, out: Path, checkpoint: Path | None) -> None:
    settings = config.preference
    if isinstance(settings, ClipPreference):
        from adagen.rewards.clip import adopt_clip

        asset, names = (
            asset_path(config.assets, settings.weights),
            inventory(config.dataset)["classes"],
        )
        adopt_clip(asset, settings, config.dataset, names, out)
        return
    from adagen.rewards.classifier import fit_preference, save_preference

    bind(checkpoint, "preference", config.dataset, settings)
    resume = checkpoint and checkpoint / "preference.ckpt"
    split = load_dataset(config.dataset)
    classifier = fit_preference(settings, split.train, split.num_classes, resume, device_of(config))
    save_preference(out, classifier, settings, config.dataset)


def _generator(config: Config, name: str, out: Path, checkpoint: Path | None) -> None:
    settings = config.generators[name]
    if settings.weights is not None:
        backbone = build.released_backbone(settings, config.assets)
        channels, height, width = 3, settings.weights.image, settings.weights.image
    else:
        bind(checkpoint, name, config.dataset, settings)
        split = load_dataset(config.dataset)
        backbone = build.pretrain(name, settings, split, checkpoint, device_of(config))
        _, channels, height, width = split.train.images.shape
    shape = (channels, height, width)
    build.save_backbone(out, name, backbone, settings, config.dataset, shape)
