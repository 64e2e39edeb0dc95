"""Bulk dropout: statistically nn.Dropout, in forward and backward, and gone when the training is over."""

import math

import pytest
import torch
from torch import nn

from bench.training.dropout import LEVELS, BulkDropout, Stream, bulk_dropout

P, COUNT = 0.15, 1_000_000
SIGMA = math.sqrt(P * (1 - P) / COUNT)  # of the share of dropped elements


def dropout(p=P, seed=0):
    return BulkDropout(p, Stream(seed))


def dropped(layer, *shape):
    return layer(torch.ones(*shape)) == 0


@pytest.mark.parametrize("p", [0.01, 0.15, 0.5, 0.9])
def test_elements_are_dropped_with_the_probability_asked_for(p):
    share = float(dropped(dropout(p), COUNT).double().mean())
    assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / COUNT) + 0.5 / LEVELS


def test_the_probability_is_exact_to_half_a_level():
    for p in (0.1, 0.15, 0.3):
        values = torch.arange(-LEVELS // 2, LEVELS // 2)
        kept = int((values >= dropout(p).threshold).sum())
        assert abs((1 - kept / LEVELS) - p) <= 0.5 / LEVELS


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_is_kept_is_scaled_as_torch_scales_it(dtype):
    torch.manual_seed(0)
    ours, torchs = (layer(torch.ones(1000, dtype=dtype)).max().item() for layer in (dropout(), nn.Dropout(P)))
    assert ours == pytest.approx(torchs, rel=torch.finfo(dtype).eps)
    assert ours == torch.tensor(1 / (1 - P), dtype=dtype).item()


def test_mean_and_variance_are_those_of_nn_dropout():
    # Of ones: mean 1, variance p / (1 - p).
    values = dropout()(torch.ones(COUNT)).double()
    assert abs(float(values.mean()) - 1) < 5 * SIGMA / (1 - P)
    assert float(values.var()) == pytest.approx(P / (1 - P), rel=0.02)


def test_neighbours_calls_and_layers_are_independent():
    layer = dropout()
    other = BulkDropout(P, layer.stream)
    first, second, third = dropped(layer, COUNT), dropped(layer, COUNT), dropped(other, COUNT)
    # Two independent events of probability p happen together with p squared; 16-bit lanes lie 1 to 4 apart.
    pairs = [(first[:-lag], first[lag:]) for lag in (1, 2, 3, 4, 128)] + [(first, second), (second, third)]
    for one, two in pairs:
        together = float((one & two).double().mean())
        assert abs(together - P**2) < 5 * math.sqrt(P**2 * (1 - P**2) / len(one))


def test_rows_and_columns_are_dropped_alike():
    gone = dropped(dropout(), 1000, 1000).double()
    for axis in (0, 1):
        # The shares of 1000 rows spread as those of binomial draws do: their variance is p (1 - p) / 1000.
        assert float(gone.mean(axis).var()) == pytest.approx(P * (1 - P) / 1000, rel=0.3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_goes_where_the_value_went(dtype):
    x = torch.ones(4, 333, dtype=dtype, requires_grad=True)
    y = dropout()(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_the_same_seed_drops_the_same_and_another_seed_does_not():
    assert torch.equal(dropped(dropout(seed=1), 1001), dropped(dropout(seed=1), 1001))
    assert not torch.equal(dropped(dropout(seed=1), 1001), dropped(dropout(seed=2), 1001))


def test_nothing_is_dropped_in_evaluation():
    x = torch.ones(10)
    assert dropout().eval()(x) is x


def test_only_plain_dropout_is_exchanged_and_only_for_a_while():
    plain, none, spatial = nn.Dropout(P), nn.Dropout(0.0), nn.Dropout2d(P)
    model = nn.Sequential(plain, nn.Sequential(none, spatial))
    names = list(model.state_dict())
    with bulk_dropout(model, Stream(0)):
        assert isinstance(model[0], BulkDropout)
        assert model[1][0] is none
        assert model[1][1] is spatial
        assert list(model.state_dict()) == names
        model.eval()
    assert model[0] is plain
    assert not plain.training


def test_the_model_gets_its_dropout_back_after_an_error():
    model = nn.Sequential(nn.Dropout(P))

    def interrupted():
        with bulk_dropout(model, Stream(0)):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert type(model[0]) is nn.Dropout
