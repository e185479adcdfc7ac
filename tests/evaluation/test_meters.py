"""From files to the meter of a configuration."""

from pathlib import Path

import pytest
import torch

from adagen.config import Dataset, Evaluation, Inception
from adagen.data.split import Images
from adagen.evaluation.embedded.meter import EmbeddedMeter
from adagen.evaluation.inception.making import computed_reference, released_reference
from adagen.evaluation.inception.meter import InceptionMeter, InceptionNetwork, adopt
from adagen.evaluation.meters import Meter
from adagen.evaluation.protocols import load_meter
from adagen.runtime.errors import AdagenError
from adagen.runtime.hashing import file_hash

pytestmark = pytest.mark.xdist_group("meters")
CPU = torch.device("cpu")


def load(settings: Evaluation, networks: Path, reference: Path) -> Meter:
    return load_meter(settings, Dataset(), networks=networks, reference=reference, device=CPU)


def test_the_embedded_meter(measuring):
    files = measuring.networks_file, measuring.reference_file
    meter = load(measuring.settings, *files)
    assert isinstance(meter, EmbeddedMeter) and meter.protocol == measuring.reference.protocol
    assert meter.count == 1437
    assert meter.hashes == {"networks": file_hash(files[0]), "reference": file_hash(files[1])}
    images = measuring.split.heldout.images[:100]
    assert meter.measure([images]) == measuring.meter.measure([images])


@pytest.fixture(scope="module")
def files(tmp_path_factory, inception_weights, settings_of, measuring):
    """A whole, narrow Inception for `authors`, and a reference of digits."""
    folder = tmp_path_factory.mktemp("meter")
    networks, reference = folder / "metrics.safetensors", folder / "reference.safetensors"
    torch.save(inception_weights, folder / "inception.pth")
    adopt(folder / "inception.pth", Inception(shrink=16), protocol="authors", out=networks)
    network = InceptionNetwork.load(networks, settings_of("authors"), device=CPU)
    heldout = measuring.split.heldout
    part = Images(heldout.images[:140], heldout.labels[:140])  # more than the 128 features
    made = computed_reference(network, type(measuring.split)(part, part, 10, Dataset(), (), "f"))
    made.save(reference)
    return networks, reference


@pytest.mark.slow
def test_the_meter_of_a_released_network(files, settings_of, measuring):
    meter = load(settings_of("authors"), *files)
    assert isinstance(meter, InceptionMeter) and meter.count == 140
    assert meter.protocol.startswith("digits-authors-inception.")
    assert meter.hashes == {"networks": file_hash(files[0]), "reference": file_hash(files[1])}
    images = measuring.split.train.images[:130]
    measured = meter.measure(images.split(50))
    # Other digits are near, in a space of random features too.
    assert 0 < measured["fid"] < meter.distance([1 - images])[0] / 2
    assert measured["inception_score"] > 1 and 0 <= measured["precision"] <= 1


def test_files_of_another_protocol_are_refused(files, settings_of, measuring):
    networks, reference = files
    with pytest.raises(AdagenError, match="protocol is 'authors' there and 'adm' here"):
        load(settings_of("adm"), networks, reference)
    with pytest.raises(AdagenError, match="`embedded`"):
        load(settings_of("authors"), networks, measuring.reference_file)
    embedded = measuring.settings
    with pytest.raises(AdagenError, match="protocol is 'authors' there and 'embedded' here"):
        load(embedded, networks, reference)
    with pytest.raises(AdagenError, match="way is 'authors' there and 'embedded' here"):
        load(embedded, measuring.networks_file, reference)


def test_a_missing_asset(tmp_path, small):
    with pytest.raises(AdagenError, match=r"gone\.npz does not exist; .*adagen fetch"):
        released_reference(small("adm"), Dataset(), asset=tmp_path / "gone.npz")
