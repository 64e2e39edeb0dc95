"""Mixup and CutMix: the share of an image is the share of its label."""

import random

import torch

from bench.training import mixing

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
