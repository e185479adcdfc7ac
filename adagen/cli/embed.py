"""`adagen embed`: the embeddings of a data set's captions, and the encoder that makes them."""

from pathlib import Path
from typing import Annotated

import typer

from adagen.cli.common import device_of, load_images
from adagen.cli.options import Checkpoint, Configs, OutFolder
from adagen.cli.paths import load_config
from adagen.config import Config
from adagen.runtime.errors import AdagenError
from adagen.runtime.locks import exclusive_folder
from adagen.runtime.outputs import Kind
from adagen.runtime.shutdown import stoppable

app = typer.Typer()


@app.command()
def embed(
    generator: Annotated[str, typer.Argument(help="Key of `generators`, with a section `text`.")],
    config: Configs,
    *,
    encoder: Annotated[
        Path, typer.Option(help="Text encoder to write; it is fitted to the captions."), Kind.FILE
    ],
    out: OutFolder,
    checkpoint: Checkpoint = None,
) -> None:
    """Fit the text encoder of a generator, and compute the embeddings of all captions once."""
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
    from adagen.data.captions.embeddings import write_embeddings
    from adagen.networks.text_encoder import WordEncoder, fit_text_encoder
    from adagen.runtime.checkpoints import claim_checkpoint, remove_checkpoint

    text = getattr(config.generators.get(generator), "text", None)
    if text is None:
        known = [n for n, s in config.generators.items() if getattr(s, "text", None)]
        raise AdagenError(
            f"the config has no generator {generator!r} with a section `text`; those that have "
            f"one: {', '.join(known) or 'none'}."
        )
    claim_checkpoint(checkpoint, f"{generator} text", config.dataset, text)
    split = load_images(config)
    if split.captions is None:
        raise AdagenError(f"the data set {config.dataset.name!r} has classes, and no captions.")
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
    embeddings = write_embeddings(captions, encoder, out=out, working=working)
    remove_checkpoint(checkpoint)
    typer.echo(f"{len(embeddings):,} captions, list {embeddings.about['captions_hash'][:16]}")
