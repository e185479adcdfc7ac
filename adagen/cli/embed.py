"""`adagen embed`: the embeddings of a data set's captions, and the encoder that makes them."""

from pathlib import Path
from typing import Annotated

import typer

from adagen.cli.common import device_of, load_images
from adagen.cli.options import Checkpoint, Configs, OutFolder
from adagen.cli.paths import load_config
from adagen.config import ClipText, Config, Text
from adagen.runtime.errors import AdagenError
from adagen.runtime.locks import exclusive_folder
from adagen.runtime.names import listed
from adagen.runtime.outputs import Kind
from adagen.runtime.shutdown import stoppable

app = typer.Typer()


@app.command()
def embed(
    generator: Annotated[str, typer.Argument(help="Key of `generators`, with a section `text`.")],
    config: Configs,
    *,
    encoder: Annotated[
        Path,
        typer.Option(help="File to write: the text encoder, or which released one it is."),
        Kind.FILE,
    ],
    out: OutFolder,
    checkpoint: Checkpoint = None,
) -> None:
    """Fit or take over a generator's text encoder, and compute all captions' embeddings once."""
    settings = load_config(config)
    with exclusive_folder(checkpoint), stoppable(checkpoint):
        write_text(settings, generator, encoder_file=encoder, out=out, checkpoint=checkpoint)


def write_text(
    config: Config, generator: str, *, encoder_file: Path, out: Path, checkpoint: Path | None = None
) -> None:
    """Write a text encoder and the embeddings that it makes of the data set's captions.

    Raises:
        AdagenError: there is no such generator, or it is one of classes; or `out` is something
            else.
    """
    from adagen.data.captions.embeddings import Embeddings
    from adagen.runtime.checkpoints import claim_checkpoint, remove_checkpoint

    text = getattr(config.generators.get(generator), "text", None)
    if text is None:
        known = [n for n, s in config.generators.items() if getattr(s, "text", None)]
        raise AdagenError(
            f"the config has no generator {generator!r} with a section `text`; those that have "
            f"one: {listed(generator, known)}."
        )
    claim_checkpoint(checkpoint, f"{generator} text", config.dataset, text)
    make = _fitted if isinstance(text, Text) else _released
    make(config, generator, encoder_file=encoder_file, out=out, checkpoint=checkpoint)
    remove_checkpoint(checkpoint)
    about = Embeddings.open(out).about
    typer.echo(f"{about['count']:,} captions, list {about['captions_hash'][:16]}")


def _fitted(
    config: Config, generator: str, *, encoder_file: Path, out: Path, checkpoint: Path | None
) -> None:
    """Fit a small text encoder to captions and images, and let it embed the captions."""
    from adagen.data.captions.embeddings import write_embeddings
    from adagen.networks.text_encoder import WordEncoder, fit_text_encoder

    text = getattr(config.generators[generator], "text", None)
    assert isinstance(text, Text)
    split = load_images(config)
    captions = split.class_names
    pair = fit_text_encoder(
        captions,
        split.train,
        settings=text.fit,
        positions=text.positions,
        width=text.width,
        checkpoint=checkpoint and checkpoint / "text_encoder.ckpt",
        device=device_of(config),
    )
    pair.encoder.cpu().save(encoder_file)
    encoder = WordEncoder.load(encoder_file)
    working = checkpoint and checkpoint / "embeddings"
    write_embeddings(captions, encoder, out=out, working=working)


def _released(
    config: Config, generator: str, *, encoder_file: Path, out: Path, checkpoint: Path | None
) -> None:
    """Let a released text encoder embed the captions, in half precision.

    Raises:
        AdagenError: the weights are missing or those of another network, or its hidden states have
            another size than the settings say.
    """
    import torch

    from adagen.data.captions.embeddings import write_embeddings
    from adagen.data.released import open_asset
    from adagen.generators.stored_text import ReleasedEncoder
    from adagen.networks.clip import released_text

    text = getattr(config.generators[generator], "text", None)
    assert isinstance(text, ClipText)
    captions, key = load_images(config).class_names, f"generators.{generator}.text"
    with open_asset(config.assets, text.weights) as asset:
        encoder = released_text(asset, text.model, key=f"{key}.model", device=device_of(config))
        hidden, pooled, _ = encoder.encode([""])
        found = {"positions": hidden.shape[1], "width": hidden.shape[2], "vectors": pooled.shape[1]}
        for name, size in found.items():
            if getattr(text, name) != size:
                raise AdagenError(
                    f"key '{key}.{name}' is {getattr(text, name)}, but {text.model} gives {size}."
                )
        working = checkpoint and checkpoint / "embeddings"
        write_embeddings(captions, encoder, out=out, working=working, dtype=torch.float16)
        ReleasedEncoder(text.model, str(asset)).save(encoder_file)
