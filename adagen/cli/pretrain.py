"""`adagen pretrain`, `adopt`: networks and policies that are there before any training.

They are fitted here, or taken over from released files.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adagen.cli.common import device_of, load_images, open_experiment, policy_metadata
from adagen.cli.judging_networks import write_clip_score, write_preference
from adagen.cli.options import Checkpoint, Configs, ExperimentName, GeneratorFile, Out
from adagen.cli.paths import load_config
from adagen.config import ClipText, Config, DinoFeatures
from adagen.runtime.errors import AdagenError
from adagen.runtime.locks import exclusive_folder
from adagen.runtime.names import listed
from adagen.runtime.shutdown import stoppable

if TYPE_CHECKING:
    from adagen.config import Generator
    from adagen.data.split import Split
    from adagen.generators.conditions import Conditions

app = typer.Typer()


@app.command()
def pretrain(
    target: Annotated[
        str,
        typer.Argument(
            help="A generator, `metrics`, `clip_score`, `alignment`, `reward` or `preference`."
        ),
    ],
    config: Configs,
    *,
    out: Out,
    checkpoint: Checkpoint = None,
    encoder: Annotated[
        Path | None,
        typer.Option(help="Text encoder of a generator of captions, written by `adagen embed`."),
    ] = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="The folder of embeddings that it wrote too.")
    ] = None,
) -> None:
    """Make a frozen network: fit it, or take over its released weights.

    It is a generator of the config, the networks that measure (`metrics`, `clip_score`,
    `alignment`), the features that the reward sees by (`reward`), or a network that says how well
    an image shows its class or caption (`preference`).
    """
    settings = load_config(config)
    stages = {
        "metrics": _metrics,
        "clip_score": write_clip_score,
        "alignment": _alignment,
        "reward": _reward,
        "preference": write_preference,
    }
    if target not in settings.generators and target not in stages:
        known = listed(target, [*settings.generators, *stages])
        raise AdagenError(f"nothing called {target!r} can be pretrained: choose one of {known}.")
    with exclusive_folder(checkpoint), stoppable(checkpoint):
        if target in stages:
            stages[target](settings, out, checkpoint=checkpoint)
        else:
            _generator(settings, target, out=out, checkpoint=checkpoint, text=(encoder, embeddings))


@app.command()
def adopt(
    config: Configs, experiment: ExperimentName, *, generator: GeneratorFile, out: Out
) -> None:
    """Take over the released policy of an experiment, for its method `released`."""
    adopt_policy(load_config(config), experiment, generator_file=generator, out=out)


def adopt_policy(config: Config, experiment: str, *, generator_file: Path, out: Path) -> None:
    """Write the released policy of an experiment as the policy of its method `released`.

    Raises:
        AdagenError: the experiment names none, or the file is missing, damaged, or made for other
            features, another grid or other actions than the generator's.
    """
    from adagen.data.released import open_asset
    from adagen.policy.files import load_released_policy, save_policy

    settings, generator = open_experiment(config, experiment, generator_file=generator_file)
    if not settings.released_policy:
        raise AdagenError(
            f"experiments.{experiment} has no released_policy: name the asset that holds it, or "
            "take 'released' out of methods."
        )
    with open_asset(config.assets, settings.released_policy) as path:
        policy, size = load_released_policy(
            path,
            generator.grid,
            feature_width=generator.feature_width,
            actions=len(generator.actions.names),
        )
    metadata = policy_metadata(config, experiment, method="released", generator=generator)
    save_policy(out, "released", actor=policy, critic=None, size=size, metadata=metadata)


def _metrics(config: Config, out: Path, *, checkpoint: Path | None) -> None:
    """Write the metric networks: those that are fitted here, or Inception."""
    evaluation = config.evaluation
    if evaluation.protocol != "embedded":
        from adagen.data.released import open_asset
        from adagen.evaluation.inception.meter import adopt

        with open_asset(config.assets, evaluation.inception.weights) as asset:
            adopt(asset, evaluation.inception, protocol=evaluation.protocol, out=out)
        return
    from adagen.evaluation.embedded.networks import fit_metric_networks
    from adagen.runtime.checkpoints import claim_checkpoint, remove_checkpoint

    claim_checkpoint(checkpoint, "metrics", config.dataset, evaluation.networks)
    split = load_images(config)
    networks = fit_metric_networks(
        evaluation.networks, split, checkpoints=checkpoint, device=device_of(config)
    )
    networks.save(out)
    remove_checkpoint(checkpoint)
    typer.echo(
        f"held-out images: classifier accuracy {networks.heldout_accuracy:.2%}, "
        f"denoising error {networks.heldout_denoising_error:.4f}"
    )


def _alignment(config: Config, out: Path, *, checkpoint: Path | None) -> None:
    """Write the network that says whether images of OpenMoji's scenes show their captions."""
    settings = config.evaluation.alignment
    if settings is None:
        raise AdagenError(
            "the config has no section evaluation.alignment: add it, with a file of prompts."
        )
    from adagen.evaluation.alignment import fit_alignment
    from adagen.runtime.checkpoints import claim_checkpoint, remove_checkpoint

    claim_checkpoint(checkpoint, "alignment", config.dataset, settings.fit)
    fitted = fit_alignment(
        settings.fit,
        config.dataset.size,
        checkpoint=checkpoint and checkpoint / "alignment.ckpt",
        device=device_of(config),
    )
    fitted.save(out)
    remove_checkpoint(checkpoint)
    typer.echo(
        f"real scenes found right: {fitted.accuracy['train']:.2%} of training captions, "
        f"{fitted.accuracy['heldout']:.2%} of held-out ones"
    )


def _reward(config: Config, out: Path, *, checkpoint: Path | None) -> None:
    """Write the frozen features of the reward: a fitted masked autoencoder, or DINO."""
    settings = config.reward_features
    if isinstance(settings, DinoFeatures):
        from adagen.data.released import open_asset
        from adagen.rewards.dino import adopt

        with open_asset(config.assets, settings.weights) as asset:
            adopt(asset, settings, out=out)
        return
    from adagen.rewards.features import fit_reward_features, save_reward_features
    from adagen.runtime.checkpoints import claim_checkpoint, remove_checkpoint

    claim_checkpoint(checkpoint, "reward", config.dataset, settings)
    resume = checkpoint and checkpoint / "reward.ckpt"
    train = load_images(config).train
    features = fit_reward_features(settings, train, checkpoint=resume, device=device_of(config))
    save_reward_features(out, features, image_shape=list(train.images.shape[1:]))
    remove_checkpoint(checkpoint)


def _generator(
    config: Config,
    name: str,
    *,
    out: Path,
    checkpoint: Path | None,
    text: tuple[Path | None, Path | None],
) -> None:
    """Write a generator: one that is fitted here, or one with released weights.

    `text` is the file of the text encoder and the folder of embeddings, for one of captions.
    """
    from adagen.generators import build
    from adagen.runtime.checkpoints import claim_checkpoint, remove_checkpoint

    settings = config.generators[name]
    if settings.weights is not None:
        split = load_images(config) if config.dataset.captioned else None
        conditions = _conditions(name, settings, split=split, files=text) if split else None
        backbone = build.released_backbone(settings, config.assets, conditions=conditions)
        channels, height, width = 3, settings.weights.image, settings.weights.image
        names: tuple[str, ...] = ()
    else:
        split = load_images(config)
        # A package's generator may keep checkpoints of its own.
        images = {"images": split.file_list_hash if checkpoint else ""}
        read = [text[0]] if text[0] else []
        claim_checkpoint(checkpoint, name, config.dataset, settings, images, *read)
        backbone = build.pretrain(
            name,
            settings,
            split=split,
            checkpoints=checkpoint,
            conditions=_conditions(name, settings, split=split, files=text),
            device=device_of(config),
        )
        _, channels, height, width = split.train.images.shape
        stored = isinstance(getattr(settings, "text", None), ClipText)
        names = () if stored else split.class_names  # the folder of embeddings has them
    build.save_backbone(
        out,
        name,
        backbone=backbone,
        settings=settings,
        dataset=config.dataset,
        image_shape=(channels, height, width),
        class_names=names,
    )
    if settings.weights is None:  # released ones are read at once, and claimed nothing
        remove_checkpoint(checkpoint)


def _conditions(
    name: str, settings: "Generator", *, split: "Split", files: tuple[Path | None, Path | None]
) -> "Conditions | None":
    """Read the conditions of a generator of captions; return None for classes.

    Raises:
        AdagenError: the files of a generator of captions were not given, or belong to others.
    """
    from adagen.data.captions.embeddings import Embeddings
    from adagen.generators.stored_text import ReleasedEncoder, StoredCaptions
    from adagen.generators.text import CaptionConditions
    from adagen.networks.text_encoder import WordEncoder

    if getattr(settings, "text", None) is None:
        return None
    encoder_file, folder = files
    if encoder_file is None or folder is None:
        raise AdagenError(
            f"the generator {name!r} is of captions: give --encoder and --embeddings, which "
            f"`adagen embed {name}` wrote."
        )
    embeddings = Embeddings.open(folder)
    if embeddings.texts != tuple(split.class_names):
        raise AdagenError(
            f"{folder} holds embeddings of other captions than those of {split.dataset.name!r}: "
            f"run `adagen embed {name}` again."
        )
    if split.table is not None:
        return StoredCaptions(
            embeddings,
            train=split.table.train,
            reported=split.table.reported,
            encoder=ReleasedEncoder.load(encoder_file),
        )
    assert split.captions is not None
    encoder = WordEncoder.load(encoder_file)
    return CaptionConditions.of(embeddings, encoder, shares=split.captions.shares)
