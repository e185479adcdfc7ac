"""Data sets with captions: both parts, one table of captions, and what is left out."""

import json

import numpy as np
import pytest
from PIL import Image

from adagen.config import Dataset
from adagen.config.loading import check_section
from adagen.data.inventory import inventory
from adagen.data.split import load_dataset
from adagen.runtime.errors import AdagenError


def write(folder, shades, suffix=""):
    """Images of some shades, and COCO's JSON with two captions for each and one of a dead link."""
    folder.mkdir()
    images, annotations = [], []
    for number, shade in enumerate(shades):
        name = f"{number:06d}{suffix}.png"
        Image.fromarray(np.full((20, 24, 3), shade, np.uint8)).save(folder / name)
        images.append({"id": number, "file_name": name})
        texts = [f"{folder.name} {shade}, {word}" for word in ("once", "again")]
        annotations += [{"image_id": number, "caption": text} for text in texts]
    images.append({"id": 99, "file_name": "gone.png"})
    annotations.append({"image_id": 99, "caption": "a dead link"})
    path = folder.with_suffix(".json")
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


@pytest.fixture
def coco(tmp_path):
    """`coco(**captions)`: settings of a data set of 12 train and 8 held-out images."""
    train = write(tmp_path / "train", range(10, 130, 10))
    val = write(tmp_path / "val", range(130, 210, 10), "v")
    (tmp_path / "val" / "000003v.png").write_bytes(b"broken")

    def settings(**captions):
        content = {
            "name": "coco",
            "folder": str(tmp_path / "train"),
            "heldout_folder": str(tmp_path / "val"),
            "size": 16,
            "captions": {"train": str(train), "heldout": str(val), **captions},
        }
        return check_section(Dataset, content, source="test")

    return settings


def shades(images):
    return [round(255 * float(image.mean())) for image in images]


def test_every_image_has_one_caption_whose_row_is_its_label(coco):
    split = load_dataset(coco())
    table = split.table
    assert (len(split.train), len(split.heldout), len(table)) == (12, 7, 19)
    assert split.num_classes == 19 and split.class_names == table.texts
    for part, name in ((split.train, "train"), (split.heldout, "val")):
        texts = [table.texts[label] for label in part.labels]
        assert [text.split(",")[0] for text in texts] == [
            f"{name} {shade}" for shade in shades(part.images[:])
        ]
    words = {text.split(", ")[1] for text in table.texts}
    assert words == {"once", "again"}  # drawn, not always the first
    assert table.reported.tolist() == list(range(12, 19))
    again = coco().model_copy(update={"split_seed": 1})
    assert load_dataset(again).table.hash != table.hash == load_dataset(coco()).table.hash


def test_captions_to_report_and_images_to_learn_from_are_drawn(coco):
    split = load_dataset(coco(most=5, count=4, reference="matching"))
    assert (len(split.train), len(split.table.reported)) == (5, 4)
    reported = [split.table.texts[row] for row in split.table.reported]
    assert [f"val {shade}" for shade in shades(split.reference.images[:])] == [
        text.split(",")[0] for text in reported
    ]
    assert len(load_dataset(coco(count=4)).reference) == 7
    other = load_dataset(coco(most=5, count=4, seed=1))
    assert other.table.reported_hash != split.table.reported_hash
    assert other.file_list_hash != split.file_list_hash
    with pytest.raises(AdagenError, match=r"'dataset\.captions\.count' is 8, but there are 7"):
        load_dataset(coco(count=8))


def test_a_list_of_its_own_is_reported(coco, tmp_path):
    path = tmp_path / "prompts.tsv"
    path.write_text("caption\turl\na fox\thttps://x/1\n\thttps://x/2\na tree\thttps://x/3\n")
    split = load_dataset(coco(reported=str(path)))
    assert [split.table.texts[row] for row in split.table.reported] == ["a fox", "a tree"]
    assert len(split.table) == 21
    with pytest.raises(AdagenError, match="a list without images"):
        coco(reported=str(path), reference="matching")


def test_some_are_held_out_of_one_folder_with_texts_beside_images(coco, tmp_path):
    for path in (tmp_path / "train").iterdir():
        path.with_suffix(".txt").write_text(f"number {path.stem}")
    place = str(tmp_path / "train")
    one = coco(train=place).model_copy(update={"heldout_folder": "", "heldout": 3})
    split = load_dataset(one)
    assert (len(split.train), len(split.heldout)) == (9, 3)
    assert sorted(split.table.texts) == [f"number {i:06d}" for i in range(12)]
    assert split.heldout.labels.tolist() == [9, 10, 11] == split.table.reported.tolist()
    with pytest.raises(AdagenError, match=r"'dataset\.heldout' is 7, but of the 12 images"):
        load_dataset(one.model_copy(update={"heldout": 7}))


def test_what_is_left_out_is_counted_and_remembered(coco, tmp_path, capsys):
    seen = tmp_path / "dataset.seen.json"
    told = inventory(coco(count=4), seen=seen)
    assert (told["train"], told["heldout"], told["classes"]) == ([12], [7], [])
    assert told["captions"]["reported"] == 4
    train, val = told["captions"]["read"].values()
    assert train.startswith("12 of 25 captions are kept; 1 without their image (dead links)")
    assert "1 with a broken image" in val and "8 are not chosen" in val
    remembered = (tmp_path / "dataset.broken.json").read_text()
    assert "cannot be read as an image" in remembered
    assert capsys.readouterr().err.count("dead links") == 2
    assert inventory(coco(count=4), seen=seen) == told
    assert "dead links" not in capsys.readouterr().err  # it was told before
    (tmp_path / "dataset.broken.json").write_text("damaged")
    assert inventory(coco(count=4), seen=seen) == told


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"size": 0}, "images with captions are reduced to one"),
        ({"heldout_folder": ""}, "give both, or neither"),
        ({"name": "digits", "folder": "", "heldout_folder": ""}, "digits takes none"),
    ],
)
def test_captions_of_other_data_sets_are_refused(coco, keys, told):
    content = {**coco().model_dump(), **keys}
    with pytest.raises(AdagenError, match=told):
        check_section(Dataset, content, source="test")


def test_a_data_set_of_classes_says_nothing_of_captions():
    assert "captions" not in Dataset().model_dump(mode="json")
    assert Dataset.model_validate(Dataset().model_dump()) == Dataset()
