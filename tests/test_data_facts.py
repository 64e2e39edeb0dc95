"""What is said of a data set before it is opened is what is there when it is."""

import inspect

import pytest

from bench.data.cifar import CIFAR10, CIFAR100
from bench.data.dataset import Choice
from bench.data.embedded import SAMPLE_ROWS
from bench.data.image_files import INTERPOLATIONS
from bench.data.image_folder import image_folder
from bench.data.synthetic import synthetic
from bench.suite import arguments
from bench.suite.data_facts import taken, whole


@pytest.mark.parametrize(
    ("name", "classes", "rows"),
    [
        ("cifar10", CIFAR10.classes, CIFAR10.rows),
        ("cifar100", CIFAR100.classes, CIFAR100.rows),
        ("cifar10_sample", CIFAR10.classes, SAMPLE_ROWS),
    ],
)
def test_images_and_classes_are_those_of_the_data(name, classes, rows):
    facts = whole(name)
    assert (facts.classes, facts.n_train, facts.n_test) == (len(classes), rows["train"], rows["test"])


def test_what_a_made_data_set_has_follows_from_its_arguments():
    made = synthetic(n_train=40, n_classes=4, image_size=8, train_fraction=0.5)
    facts = taken("synthetic", {"n_train": 40, "n_classes": 4, "image_size": 8, "train_fraction": 0.5})
    assert (facts.classes, facts.n_train, facts.n_test) == (
        len(made.classes),
        len(made.train_labels),
        len(made.test_labels),
    )
    assert facts.image_size == made.train_images.shape[1]


def test_the_defaults_that_are_known_are_those_of_the_factories():
    assert whole("image_folder").image_size == inspect.signature(image_folder).parameters["image_size"].default
    made, facts = inspect.signature(synthetic).parameters, whole("synthetic")
    assert (facts.n_train, facts.n_test) == (made["n_train"].default, made["n_test"].default)
    assert (facts.classes, facts.image_size) == (made["n_classes"].default, made["image_size"].default)


def test_the_options_that_every_data_set_knows_are_read_from_their_source():
    assert list(arguments.choice()) == list(Choice.__dataclass_fields__)
    assert arguments._DATA_WORDS["interpolation"] == list(INTERPOLATIONS)
