"""Mixup and CutMix: the share of an image is the share of its label."""

import random

import numpy as np
import pytest
import torch

from bench.suite.recipe import Recipe
from bench.training import mixing
from bench.training.batches import ImageSource, prepared

LABELS = torch.arange(6)
IMAGES = LABELS.float().view(6, 1, 1, 1).expand(6, 3, 8, 8).contiguous()  # every pixel is the image's label


def mixed(seed=0, **alphas):
    return mixing.mix(IMAGES, LABELS, **({"mixup": 0.0, "cutmix": 0.0} | alphas), rng=random.Random(seed))


def test_nothing_happens_when_nothing_is_asked_for():
    assert mixed() == mixing.Mixed(IMAGES, LABELS, 1.0)


def test_mixup_blends_each_image_with_its_partner_by_the_share():
    one = mixed(mixup=0.5)
    assert 0 < one.share < 1
    expected = one.share * LABELS + (1 - one.share) * one.labels
    assert torch.allclose(one.images.mean((1, 2, 3)), expected, atol=1e-5)


def test_cutmix_pastes_a_box_whose_area_is_one_minus_the_share():
    for seed in range(20):
        one = mixed(seed, cutmix=0.5)
        foreign = (one.images[0] != LABELS[0]).float().mean()
        assert float(foreign) == 1 - one.share
        assert set(one.images[0].unique().tolist()) <= {0.0, 5.0}


def test_with_both_each_batch_gets_one_kind_about_evenly():
    corners = [float(mixed(seed, mixup=0.5, cutmix=0.5).images[0, 0, 0, 0]) for seed in range(400)]
    blended = sum(corner % 1 > 0 for corner in corners)
    assert abs(blended - 200) < 5 * 10  # five standard deviations of 400 fair coins, sqrt(400) / 2 = 10


def an_epoch(epoch: int, seed: int = 0, **recipe) -> list:
    """Every batch of an epoch of 24 pictures, each of one value of its own."""
    pictures = np.arange(24, dtype=np.uint8).reshape(24, 1, 1, 1).repeat(8, 1).repeat(8, 2).repeat(3, 3)
    asked = Recipe.from_mapping({"epochs": 3, "batch_size": 4, "optimizer": "adamw", "lr": 1e-3} | recipe)
    source = ImageSource.of(pictures, np.arange(24), "cpu")
    return list(prepared(source, asked, [0.0] * 3, [1.0] * 3, seed=seed, epoch=epoch))


@pytest.mark.parametrize("recipe", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}], ids=str)
def test_every_epoch_and_every_seed_mixes_by_shares_of_its_own_and_told_again_by_the_same(recipe):
    def shares(*which: int) -> list[float]:
        return [batch.mixed.share for batch in an_epoch(*which, **recipe)]

    assert shares(1) == shares(1)
    told = [shares(1), shares(2), shares(3), shares(1, 1), shares(2, 1)]
    assert len(told[0]) == 24 / 4
    # CutMix counts pixels, so one share may come twice by chance; a whole epoch of six does not.
    assert len(set(map(tuple, told))) == len(told)
    assert len(set(told[0])) > 1, "every batch draws anew"


@pytest.mark.parametrize("recipe", [{}, {"augment": [{"name": "crop"}]}, {"augment": [{"name": "erasing", "p": 1.0}]}])
def test_every_epoch_has_an_order_and_an_augmentation_of_its_own(recipe):
    def told(*which: int) -> tuple[list[int], torch.Tensor]:
        batches = an_epoch(*which, **recipe)
        order = [int(label) for batch in batches for label in batch.labels]
        return order, torch.cat([batch.mixed.images for batch in batches])[torch.tensor(order).argsort()]

    (order, seen), (again, seen_again), (later, seen_later), (other, _) = told(1), told(1), told(2), told(1, 1)
    assert order == again
    assert torch.equal(seen, seen_again)
    assert sorted(order) == sorted(later) == list(range(24))
    assert len({tuple(each) for each in (order, later, other)}) == 3
    assert torch.equal(seen, seen_later) == (not recipe), "in the order of their labels, only augmentation differs"
