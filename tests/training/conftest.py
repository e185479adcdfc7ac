"""Fixtures for trainings that fit networks of their own."""

from functools import partial

import pytest

from adagen.config import Fit, MetricNetworks, RewardFeatures, Transformer
from adagen.training import default_searches, from_data


@pytest.fixture
def hasty(monkeypatch):
    """Networks that are fitted in no time, and searches of a few candidates of a few images."""
    fit = Fit(updates=3, batch=16)
    small = partial(RewardFeatures, network=Transformer(width=8, depth=1, heads=2), fit=fit)
    monkeypatch.setattr(from_data, "RewardFeatures", small)
    monkeypatch.setattr(
        from_data,
        "MetricNetworks",
        partial(MetricNetworks, width=8, classifier=fit, autoencoder=fit),
    )
    monkeypatch.setattr(default_searches, "SAMPLES", 20)
    monkeypatch.setattr(default_searches, "LEAST", 5)
