"""Images in one folder and a list of their labels, as ImageNet's validation set is published. A test set alone.

Trains nothing: there are no training images beside such a list.
"""

from pathlib import Path

from bench.data.dataset import Dataset
from bench.errors import UsageError
from bench.registry import datasets


@datasets.register("image_list")
def image_list(
    data_dir: Path | None = None,
    *,
    labels: str,
    folder: str = ".",
    classes: str | None = None,
    ids: str | None = None,
    first_label: int | None = None,
    n_test: int | None = None,
    subset_seed: int = 0,
) -> Dataset:
    """Images in a folder of `data_dir` and a list of labels, for `measure = "evaluate"` (see `bench.data.held_out`).

    Args:
        labels: the list. A line is a label, in the order of the files' names, or a name and a label; a label is a
            number or the name of a class.
        folder: where the images are.
        classes: a file with the names of the classes in the order in which the model has them.
        ids: a file with the names of the classes in the order in which the list counts them from 1, where that is
            another one, as in ImageNet's development kit.
        first_label: what the list calls the first class, 0 or 1.

    Raises:
        UsageError: always, for there is nothing to train on.
    """
    raise UsageError("image_list is a test set alone, for measure = 'evaluate'; to train, see image_folder")
