"""Small metric networks and their reference: hardly fitted, but whole."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from adagen.config import Dataset, Evaluation, Fit, MetricNetworks
from adagen.data.split import Split, load_dataset
from adagen.evaluation import networks
from adagen.evaluation.reference import Reference

SETTINGS = Evaluation(
    samples=100,
    seeds=(0, 1),
    networks=MetricNetworks(
        width=8,
        classifier=Fit(updates=20, batch=32),
        autoencoder=Fit(updates=5, batch=32, seed=1),
    ),
)


@dataclass
class Measuring:
    """Everything a measurement takes, and the files it came from."""

    split: Split
    networks: networks.MetricNetworks
    reference: Reference
    networks_file: Path
    reference_file: Path
    settings: Evaluation


@pytest.fixture(scope="session")
def measuring(tmp_path_factory) -> Measuring:
    folder = tmp_path_factory.mktemp("measuring")
    networks_file, reference_file = folder / "metrics.safetensors", folder / "reference.safetensors"
    split = load_dataset(Dataset())
    networks.fit_metric_networks(SETTINGS.networks, split).save(networks_file)
    fitted = networks.MetricNetworks.load(networks_file)
    Reference.compute(fitted, split).save(reference_file)
    return Measuring(
        split, fitted, Reference.load(reference_file), networks_file, reference_file, SETTINGS
    )
