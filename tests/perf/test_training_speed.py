"""Training is at least three times as fast as the plain loop, side by side, and spends its time on matrix products.

The plain loop is the CIFAR Mixer as its published code trains it: per-image transforms of PIL images in two loading
workers, float32, eager, torch's own dropout and optimiser. Epochs of all loops alternate, so that what disturbs one
disturbs all alike; each figure is a median over rounds.
"""

import os
import statistics
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from bench.data.embedded import cifar10_sample
from bench.execution.conditions import fix_conditions
from bench.execution.context import Context
from bench.measures.instruments.model import call_factory
from bench.suite.recipe import Recipe
from bench.torchvision_import import torchvision
from bench.training import augment
from bench.training.loop import EVALUATION_BATCH, train

MIXER = {
    "patch_size": 4,
    "width": 128,
    "depth": 8,
    "token_mlp": 64,
    "channel_mlp": 256,
    "dropout": 0.15,
    "norm_eps": 1e-5,
}
RECIPE = {
    "epochs": 1000,
    "batch_size": 128,
    "optimizer": "adamw",
    "lr": 3e-3,
    "weight_decay": 5e-4,
    "schedule": {"name": "cosine", "step": "batch", "t_max": 30},
    "augment": [
        {"name": "flip"},
        {"name": "crop", "padding": 4},
        {"name": "rotation", "degrees": 15},
        {"name": "color_jitter", "brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0.02},
        {"name": "erasing", "p": 0.1},
    ],
}
ROUNDS = int(os.environ.get("BENCH_PERF_ROUNDS", "3"))
BATCHES = 16
TEST_IMAGES_PER_EPOCH = BATCHES * 128 / 5  # CIFAR has one test image for five training images


@pytest.fixture(scope="module", autouse=True)
def threads():
    fix_conditions("cpu", int(os.environ.get("OMP_NUM_THREADS", "2")))


@pytest.fixture(scope="module")
def dataset():
    return cifar10_sample(n_train=BATCHES * 128, n_test=EVALUATION_BATCH)


def model():
    torch.manual_seed(0)
    return call_factory("mlp_mixer", num_classes=10, image_size=32, **MIXER)


class Pictures(torch.utils.data.Dataset):
    """What torchvision's CIFAR10 does: an array becomes a PIL image, and that is transformed."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, mean, std):
        self.images, self.labels = images, labels
        self.transform = torchvision.transforms.Compose(
            [
                torchvision.transforms.RandomHorizontalFlip(),
                torchvision.transforms.RandomCrop(32, padding=4),
                torchvision.transforms.RandomRotation(15),
                torchvision.transforms.ColorJitter(0.1, 0.1, 0.1, 0.02),
                torchvision.transforms.ToTensor(),
                torchvision.transforms.Normalize(mean, std),
                torchvision.transforms.RandomErasing(p=0.1),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int):
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def plain_loop(model: nn.Module, pictures: Pictures, batch_size: int = 128, device: str = "cpu") -> Iterator[float]:
    """The loop as published: images per second of one epoch after the other. Do not make it faster."""
    model.to(device)
    loader = DataLoader(pictures, batch_size, shuffle=True, num_workers=2, persistent_workers=True)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)
    model.train()
    while True:
        start, running_loss = time.perf_counter(), 0.0
        for batch in loader:
            images, labels = (part.to(device) for part in batch)
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            scheduler.step()
            running_loss += loss.item()
        yield len(pictures) / (time.perf_counter() - start)


def ours(dataset, precision: str, layout: torch.memory_format, device: str = "cpu") -> Iterator[float]:
    recipe = Recipe.from_mapping(RECIPE | {"precision": precision})
    network = model().to(device=device, memory_format=layout)
    for result in train(network, dataset, recipe, seed=0, context=Context(device=device), layout=layout):
        yield result.train_fps


def flops_per_image() -> float:
    """Of one training step, as torch's counter sees it: forward, and both products of each layer backward."""
    counter = FlopCounterMode(display=False)
    with counter:
        model()(torch.zeros(8, 3, 32, 32)).sum().backward()
    return counter.get_total_flops() / 8


def ceiling(dtype: torch.dtype, side: int = 2048, device: str = "cpu") -> float:
    """FLOP/s of a large square product, the best of four."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = [clocked(lambda: a @ b, device) for _ in range(4)]
    return 2 * side**3 / min(seconds)


def clocked(call, device: str = "cpu") -> float:
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - start


def rounds_of(loops: dict[str, Iterator[float]]) -> dict[str, list[float]]:
    """Images per second of every loop, their epochs alternating; the first round warms up."""
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(ROUNDS + 1):
        for name, loop in loops.items():
            speed = next(loop)
            speeds[name] += [speed] if turn else []
    return speeds


def told(speeds: dict[str, list[float]], peaks: dict[str, float]) -> dict[str, float]:
    """Print every loop's speed, its ratio to the plain loop and its share of the ceiling; the median ratios."""
    work = flops_per_image()
    print(f"\n{torch.get_num_threads()} threads, {work / 1e9:.3f} GFLOP per image and step, medians of {ROUNDS} rounds")
    ratios = {}
    for name, found in speeds.items():
        paired = [one / base for one, base in zip(found, speeds["plain loop"], strict=True)]
        ratios[name] = statistics.median(paired)
        peak = peaks["bfloat16" if name.startswith("bfloat16") else "float32"]
        speed = statistics.median(found)
        print(
            f"{name:24} {speed:9.1f} images/s  {ratios[name]:5.2f} x plain ({min(paired):.2f} to {max(paired):.2f})"
            f"  {speed * work / 1e9:8.1f} GFLOP/s, {100 * speed * work / peak:4.1f} % of {peak / 1e9:.0f}"
        )
    return ratios


def test_training_is_three_times_as_fast_as_the_plain_loop(dataset):
    pictures = Pictures(dataset.train_images, dataset.train_labels, dataset.mean, dataset.std)
    plain, last = torch.contiguous_format, torch.channels_last
    loops = {
        "plain loop": plain_loop(model(), pictures),
        "float32": ours(dataset, "float32", plain),
        "float32 channels_last": ours(dataset, "float32", last),
        "bfloat16": ours(dataset, "bfloat16", plain),
        "bfloat16 channels_last": ours(dataset, "bfloat16", last),
    }
    peaks = {"float32": ceiling(torch.float32), "bfloat16": ceiling(torch.bfloat16)}
    ratios = told(rounds_of(loops), peaks)
    assert ratios["float32"] > 1
    assert max(ratios["bfloat16"], ratios["bfloat16 channels_last"]) >= 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_training_is_twenty_times_as_fast_as_the_plain_loop():
    dataset = cifar10_sample()
    pictures = Pictures(dataset.train_images, dataset.train_labels, dataset.mean, dataset.std)
    print(f"\n{torch.cuda.get_device_name()}")
    loops = {
        "plain loop": plain_loop(model(), pictures, device="cuda"),
        "float32": ours(dataset, "float32", torch.contiguous_format, "cuda"),
        "bfloat16": ours(dataset, "bfloat16", torch.contiguous_format, "cuda"),
    }
    peaks = {name: ceiling(getattr(torch, name), 8192, "cuda") for name in ("float32", "bfloat16")}
    ratios = told(rounds_of(loops), peaks)
    assert ratios["float32"] >= 20


def test_augmentation_is_a_small_part_of_a_step_and_evaluation_of_an_epoch(dataset):
    recipe = Recipe.from_mapping(RECIPE | {"precision": "bfloat16"})
    images = torch.from_numpy(dataset.train_images)[:128]
    drawn = augment.draw(recipe.augment, 128, (32, 32), torch.Generator().manual_seed(0))
    loop = train(model(), dataset, recipe, seed=0, context=Context())
    shares: dict[str, list[float]] = {"augmentation": [], "evaluation": []}
    for _ in range(ROUNDS):
        start = time.perf_counter()
        result = next(loop)
        evaluating = time.perf_counter() - start - result.epoch_s
        augmenting = [
            clocked(lambda: augment.augment(images, recipe.augment, drawn, dataset.mean, dataset.std)) for _ in range(9)
        ]
        shares["augmentation"].append(statistics.median(augmenting) * BATCHES / result.epoch_s)
        shares["evaluation"].append(evaluating / EVALUATION_BATCH * TEST_IMAGES_PER_EPOCH / result.epoch_s)
    for name, found in shares.items():
        print(f"\n{name}: {100 * statistics.median(found):.1f} % of a bfloat16 epoch", end="")
    print()
    assert statistics.median(shares["augmentation"]) < 0.15
    assert statistics.median(shares["evaluation"]) < 0.10
