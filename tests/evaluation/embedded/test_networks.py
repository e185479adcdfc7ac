import pytest
import torch

from adagen.config import Dataset, Evaluation, Fit, MetricNetworks
from adagen.data.split import load_dataset
from adagen.evaluation.embedded import losses, networks
from adagen.evaluation.embedded.networks import fit_metric_networks
from adagen.runtime import checkpoints
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_tensors, save_tensors
from adagen.runtime.hashing import file_hash


def test_features_of_each_space(measuring):
    images = measuring.split.heldout.images[:7]
    features = measuring.networks.features([images])
    shapes = {key: tuple(value.shape) for key, value in features.items()}
    assert shapes == {"primary": (7, 16), "label_free": (7, 16), "logits": (7, 10)}
    assert all(value.dtype == torch.float32 for value in features.values())


def test_batches_do_not_matter(measuring):
    images = measuring.split.heldout.images[:20]
    whole = measuring.networks.features([images])
    for key, value in measuring.networks.features(images.split(3)).items():
        assert torch.allclose(value, whole[key], atol=1e-5)


def test_the_file_gives_back_what_was_fitted(measuring):
    again = networks.MetricNetworks.load(measuring.networks_file)
    fitted = fit_metric_networks(measuring.settings.networks, measuring.split)
    images = measuring.split.heldout.images
    for key, value in fitted.features([images]).items():
        assert torch.equal(again.features([images])[key], value)
    assert again.heldout_accuracy == fitted.heldout_accuracy
    assert again.heldout_denoising_error == fitted.heldout_denoising_error > 0
    assert (again.settings, again.dataset) == (measuring.settings.networks, Dataset())
    assert again.hash == file_hash(measuring.networks_file)


def test_fitting_resumes(tmp_path, measuring, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 2)
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: next(clock))
    fits = [Fit(updates=20, batch=32), Fit(updates=3, batch=32, seed=1)]
    settings = MetricNetworks(width=8, classifier=fits[0], autoencoder=fits[1])
    fitted = fit_metric_networks(settings, measuring.split, checkpoints=tmp_path)
    # Of the longer one the checkpoint before is there, too.
    kept = {"classifier.ckpt", "classifier.previous.ckpt", "autoencoder.ckpt"}
    assert {path.name for path in tmp_path.iterdir()} == kept
    # Both runs stood at their last checkpoint, as after a kill: they go on from there.
    resumed = fit_metric_networks(settings, measuring.split, checkpoints=tmp_path)
    images = measuring.split.heldout.images
    expected = fitted.features([images])
    assert all(torch.equal(expected[k], v) for k, v in resumed.features([images]).items())


def test_fitting_leaves_global_randomness_alone(measuring):
    before = torch.get_rng_state()
    fit_metric_networks(measuring.settings.networks, measuring.split)
    assert torch.equal(before, torch.get_rng_state())


def test_shifts_move_by_at_most_one_pixel():
    image = torch.zeros(500, 1, 8, 8)
    image[:, 0, 3, 4] = 1
    moved = losses._shifted(image, torch.Generator().manual_seed(0))
    places = {tuple(place) for place in moved.nonzero()[:, 2:].tolist()}
    assert moved.sum() == 500
    assert places == {(row, column) for row in (2, 3, 4) for column in (3, 4, 5)}


def test_shifts_leave_the_background_as_it_is():
    page = torch.tensor([1.0, 0.5, 0.25]).view(1, 3, 1, 1).expand(50, 3, 8, 8)
    assert torch.equal(losses._shifted(page, torch.Generator().manual_seed(0)), page)
    images = load_dataset(Dataset()).train.images[:]
    assert not images[:, :, 0, 0].any()  # so that digits are shifted as with zeros


def test_networks_of_another_configuration_are_refused(measuring):
    path, settings = measuring.networks_file, measuring.settings
    assert networks.open_networks(path, settings, dataset=Dataset()).hash == file_hash(path)
    for evaluation, dataset in ((Evaluation(), Dataset()), (settings, Dataset(split_seed=1))):
        with pytest.raises(AdagenError, match="was made for something else"):
            networks.open_networks(path, evaluation, dataset=dataset)


def test_images_of_another_number_of_channels(measuring):
    with pytest.raises(AdagenError, match=r"images have 3 channels, .* fitted to images of 1"):
        measuring.networks.features([torch.zeros(2, 3, 8, 8)])


@pytest.mark.parametrize("size", [0, 8])
def test_older_files_say_the_size_of_the_images_only_where_the_data_set_does(
    measuring, tmp_path, size
):
    assert measuring.networks.side == 8 and measuring.networks.dataset.size == 0
    tensors, about = load_tensors(measuring.networks_file, "metrics")
    del about["side"]
    about["dataset"] |= {"name": "mine", "folder": "images", "size": size}
    save_tensors(tmp_path / "older.safetensors", tensors, about=about)
    older = networks.MetricNetworks.load(tmp_path / "older.safetensors")
    assert older.side == (size or None)


def test_a_file_of_another_version(tmp_path):
    path = tmp_path / "metrics.safetensors"
    save_tensors(path, {}, about={"kind": "metrics"})
    with pytest.raises(AdagenError, match=r"metrics\.safetensors holds .* another version"):
        networks.MetricNetworks.load(path)


@pytest.mark.slow
def test_the_classifier_of_the_default_settings_is_accurate():
    fitted = fit_metric_networks(MetricNetworks(), load_dataset(Dataset()))
    assert fitted.heldout_accuracy >= 0.98
    assert fitted.heldout_denoising_error < 0.015
