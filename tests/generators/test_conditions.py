"""Conditions: what labels stand for."""

import pytest
import torch

from adagen.generators.conditions import ClassConditions
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import torch_generator


def test_classes_are_what_they_were_as_plain_numbers():
    classes = ClassConditions(5)
    labels = torch.tensor([4, 0, 5])
    assert torch.equal(classes(labels), labels)
    assert classes.in_turn(7).tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert len(classes) == classes.vector_width == 5
    drawn = torch.randint(5, (20,), generator=torch_generator("draw"))
    assert torch.equal(classes.draw(20, torch_generator("draw")), drawn)
    torch.manual_seed(0)
    expected = torch.nn.Embedding(5, 3)
    torch.manual_seed(0)
    table = classes.embedding(3)
    assert torch.equal(table(labels[:2]), expected(labels[:2]))
    assert classes.vectors(labels[:2]).tolist() == [[0, 0, 0, 0, 1], [1, 0, 0, 0, 0]]
    assert not classes.state_dict()


def test_classes_read_no_text():
    with pytest.raises(AdagenError, match="makes 5 classes and reads no text"):
        ClassConditions(5).encoded(["a fox"])


def test_labels_of_a_generator_may_be_rows_of_another_table(tiny_generator):
    generator = tiny_generator("sit")
    other = generator.conditioned(ClassConditions(3))
    assert (other.num_classes, generator.num_classes) == (3, 10)
    assert other.conditions.in_turn(4).tolist() == [0, 1, 2, 0]
    assert generator.conditions.in_turn(4).tolist() == [0, 1, 2, 3]
