"""Pruning and quantisation against loops, torch's own functions and finite differences."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from tinykd import MLP, Batches, ConvNet, HardLabels, MobileNet, ResNet, Trainer, predict
from tinykd.compress import (
    GradualPruning,
    Quantized,
    Rounded,
    cubic,
    cut_units,
    fake_quantize,
    fold_batch_norm,
    folded,
    magnitude_masks,
    make_permanent,
    prune_weights,
    quantize,
    quantized,
    scale_and_zero,
    slimmer,
    sparsity,
    weight_scale,
)
from tinykd.compress.prune import neighbours, unit_norms
from tinykd.models.mobilenet import Separable

NETS = {
    "mlp": lambda: MLP(784, 20, 12, 10),
    "convnet": lambda: ConvNet(1, 6, 8, 10),
    "resnet": lambda: ResNet(1, 6, 8, 10),
    "mobilenet": lambda: MobileNet(1, 4, 6, 8, 10),
}


def trained(name):
    """A net whose batch norms have seen something, and some images."""
    torch.manual_seed(1)
    net, x = NETS[name](), torch.rand(30, 28, 28)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    for _ in range(3):
        net(x)
    return net.eval(), x


# ------------------------------------------------------------------------------- MobileNet


@pytest.mark.parametrize(("dims", "shape"), [(1, (40,)), (2, (28, 28))])
def test_a_mobilenet_takes_inputs_with_and_without_a_channel(dims, shape):
    torch.manual_seed(0)
    net, x = MobileNet(1, 4, 6, 8, 10, dims=dims).eval(), torch.randn(5, *shape)
    assert net(x).shape == (5, 10)
    torch.testing.assert_close(net(x.unsqueeze(1)), net(x))
    with pytest.raises(ValueError, match=r"\(1, 4, 10\)"):
        MobileNet(1, 4, 10)


def test_a_separable_block_is_a_full_convolution_of_low_rank():
    torch.manual_seed(0)
    block, x = Separable(3, 5, dims=2).eval(), torch.randn(2, 3, 8, 8)
    deep, point = block.depthwise[0].weight, block.pointwise[0].weight
    block.depthwise[2] = nn.Identity()  # without the ReLU in between it is one convolution
    whole = point * deep.transpose(0, 1)  # (5, 3, 3, 3)
    factor = (1 + 1e-5) ** -1  # two norms that have seen nothing
    expected = (F.conv2d(x, whole, padding=1) * factor).relu()
    torch.testing.assert_close(block(x), expected)
    assert deep.numel() + point.numel() == 9 * 3 + 3 * 5


# --------------------------------------------------------------------------------- pruning


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.77, 1.0])
def test_masks_are_those_of_a_sorted_list(share):
    torch.manual_seed(0)
    weights = [torch.randn(4, 5), torch.randn(7) * 3, torch.randn(2, 3, 3, 3)]
    masks = magnitude_masks(weights, share)
    flat = sorted(
        (abs(v), n) for n, v in enumerate(torch.cat([w.flatten() for w in weights]).tolist())
    )
    gone = {n for _, n in flat[: round(share * len(flat))]}
    found = torch.cat([m.flatten() for m in masks])
    assert {n for n, stays in enumerate(found.tolist()) if not stays} == gone
    assert [m.shape for m in masks] == [w.shape for w in weights]
    with pytest.raises(ValueError, match=r"share is 1\.5"):
        magnitude_masks(weights, 1.5)


def test_pruning_globally_is_that_of_torch():
    ours, _ = trained("convnet")
    theirs = copy.deepcopy(ours)
    prune_weights(ours, 0.6)
    layers = [(layer, "weight") for layer in theirs.modules() if hasattr(layer, "weight")]
    layers = [(m, n) for m, n in layers if isinstance(m, (nn.Conv2d, nn.Linear))]
    prune.global_unstructured(layers, prune.L1Unstructured, amount=0.6)
    make_permanent(ours)
    for layer, _ in layers:
        prune.remove(layer, "weight")
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    assert abs(sparsity(ours) - 0.6) < 0.01


@pytest.mark.parametrize("steps", [20, 43])  # of 43 every second one, and the last
def test_pruned_weights_stay_at_zero_while_others_are_trained(steps):
    torch.manual_seed(0)
    net = MLP(10, 30, 30, 3)
    batches = Batches(torch.randn(60, 10), torch.randint(3, (60,)), size=10)
    seen = []
    gradual = GradualPruning(0.9, steps)
    Trainer(
        net,
        HardLabels(),
        callbacks=[gradual, lambda trainer: seen.append(sparsity(trainer.model))],
        progress=False,
    ).fit(batches, epochs=8)
    assert seen == sorted(seen)
    assert seen[9] == pytest.approx(cubic(0.9)(10 / steps), abs=0.002)
    assert len(seen) == 48
    np.testing.assert_allclose(seen[steps - 1 :], 0.9, atol=0.002)
    net(torch.randn(1, 10))  # torch computes weight_orig * weight_mask when the layer is called
    before = [layer.weight.detach().clone() for layer in net.layers]
    make_permanent(net)
    assert set(net.state_dict()) == set(MLP(10, 30, 30, 3).state_dict())
    for layer, w in zip(net.layers, before, strict=True):
        torch.testing.assert_close(layer.weight.detach(), w)
    assert cubic(0.8)(0) == 0
    assert cubic(0.8)(1) == pytest.approx(0.8)
    assert cubic(0.8)(0.5) == pytest.approx(0.7)


@pytest.mark.parametrize("name", ["mlp", "convnet", "resnet"])
def test_cutting_units_that_say_nothing_changes_nothing(name):
    net, x = trained(name)
    half = slimmer(net, 0.5)
    gone = copy.deepcopy(net)
    pairs = [(unit_norms(first), second) for first, _, second in neighbours(gone)]
    for scores, second in pairs:
        out = scores.argsort()[: round(0.5 * len(scores))]
        second.weight.data[:, out] = 0  # nobody listens to them: the oracle
    torch.testing.assert_close(half(x), gone(x), rtol=1e-4, atol=1e-5)
    assert sum(p.numel() for p in half.parameters()) < 0.75 * sum(
        p.numel() for p in net.parameters()
    )
    half.train()(x).sum().backward()  # what is left can be trained
    assert all(p.grad is not None for p in half.parameters())


def test_cutting_says_what_does_not_fit():
    with pytest.raises(ValueError, match="5 units come out"):
        cut_units(nn.Linear(3, 5), nn.Linear(6, 2), torch.tensor([0]))
    for share in (-0.1, 1.0):  # at 1 nothing would be left
        with pytest.raises(ValueError, match=rf"share is {share}: .* in \[0, 1\)"):
            slimmer(nn.Sequential(nn.Linear(3, 3)), share)
    with pytest.raises(ValueError, match="use cut_units"):
        slimmer(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), 0.5)
    first, second = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 3, 3)
    norm = nn.BatchNorm2d(4)
    cut_units(first, second, torch.tensor([3, 1]), norm)
    assert (first.out_channels, norm.num_features, second.in_channels) == (2, 2, 2)
    assert second(norm(first(torch.randn(1, 2, 9, 9)))).shape[1] == 3


# ------------------------------------------------------------------------------- batch norm


@pytest.mark.parametrize("name", ["convnet", "resnet", "mobilenet"])
def test_a_folded_net_computes_the_same_without_norms(name):
    net, x = trained(name)
    before = copy.deepcopy(net.state_dict())
    other = folded(net)
    torch.testing.assert_close(other(x), net(x), rtol=1e-4, atol=1e-4)
    assert not [m for m in other.modules() if isinstance(m, nn.BatchNorm2d)]
    torch.testing.assert_close(net.state_dict(), before)


def test_a_norm_elsewhere_stays_as_it_is():
    """Behind an activation, behind another norm, first of all: nothing to fold it into."""
    torch.manual_seed(0)
    norms = [nn.BatchNorm1d(4) for _ in range(4)]
    for norm in norms:
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    net = nn.Sequential(
        norms[0], norms[1], nn.Linear(4, 4), norms[2], nn.ReLU(), norms[3], nn.Linear(4, 2)
    ).eval()
    x, one = torch.randn(5, 4), folded(net)
    torch.testing.assert_close(one(x), net(x))
    kinds = [type(module) for module in one]
    kept = nn.BatchNorm1d
    assert kinds == [kept, kept, nn.Linear, nn.Identity, nn.ReLU, kept, nn.Linear]
    assert isinstance(net[3], kept)  # the model itself is left alone


@pytest.mark.parametrize("affine", [True, False])
def test_folding_is_that_of_torch(affine):
    torch.manual_seed(0)
    conv, norm = nn.Conv1d(3, 4, 3).double(), nn.BatchNorm1d(4, eps=0.1, affine=affine).double()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.1, 3)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    theirs = nn.utils.fusion.fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    torch.testing.assert_close(fold_batch_norm(conv.weight, conv.bias, norm), tuple(theirs))


# -------------------------------------------------------------------------------- rounding


@pytest.mark.parametrize(("zero", "low", "high"), [(0, -127, 127), (-128, -128, 127), (3, -8, 7)])
def test_fake_quantisation_is_that_of_torch_with_its_gradient(zero, low, high):
    torch.manual_seed(0)
    x, scale = (10 * torch.randn(400)).requires_grad_(), torch.tensor(0.21)
    ours = fake_quantize(x, scale, zero, low, high)
    theirs = torch.fake_quantize_per_tensor_affine(x, float(scale), zero, low, high)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn(400)
    slopes = [torch.autograd.grad(weights @ y, x)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*slopes)
    whole = quantize(x.detach(), scale, zero, low, high)
    assert whole.dtype == torch.int32
    torch.testing.assert_close(((whole - zero) * scale).float(), ours.detach())


def test_the_gradient_of_the_scale_is_that_of_the_paper():
    """Esser et al. 2020, equation 3."""
    scale = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    for x, slope in ((0.9, 2 - 1.8), (-0.6, -1 + 1.2), (50.0, 7.0), (-50.0, -8.0)):
        y = fake_quantize(torch.tensor(x, dtype=torch.float64), scale, 0, -8, 7)
        (found,) = torch.autograd.grad(y, scale)
        assert float(found) == pytest.approx(slope)


@pytest.mark.parametrize(("low", "high"), [(0.0, 3.0), (-1.0, 2.0), (0.5, 2.0), (-3.0, -1.0)])
def test_a_range_is_met_and_so_is_zero(low, high):
    scale, zero = scale_and_zero(low, high)
    assert -128 <= zero <= 127
    ends = torch.tensor([low, high, 0.0])
    back = fake_quantize(ends, torch.tensor(scale), zero, -128, 127)
    assert (back - ends).abs().max() <= scale / 2 + 1e-6
    assert float(back[2]) == 0
    assert (quantize(ends[:2], torch.tensor(scale), zero, -128, 127).abs() >= 127).any()


def test_weights_have_a_scale_for_each_channel():
    w = torch.tensor([[1.0, -2.0], [0.01, 0.02]])
    torch.testing.assert_close(weight_scale(w), torch.tensor([[2 / 63], [0.02 / 63]]))


@pytest.mark.parametrize("name", list(NETS))
def test_eight_bits_are_close_and_two_are_not(name):
    net, x = trained(name)
    size = net(x).std()
    errors = [(predict(quantized(net, x, b), x) - net(x)).std() / size for b in (8, 5, 2)]
    assert errors[0] < 0.05
    assert errors[0] < errors[1] < errors[2]
    with pytest.raises(ValueError, match="bits is 9"):
        quantized(net, x, 9)


def test_every_rounded_number_is_a_step_and_everything_learns():
    net, x = trained("mobilenet")
    few = quantized(net, x, 4)
    layers = [m for m in few.modules() if isinstance(m, Quantized)]
    assert len(layers) == 6
    for layer in layers:
        w = layer.weight() / layer.log_scale.exp()
        torch.testing.assert_close(w, w.round(), rtol=0, atol=1e-4)
        assert w.abs().max() <= 7.0001
    few(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in few.parameters())
    assert all(not m.watching for m in few.modules() if isinstance(m, Rounded))
    batches = Batches(x, torch.randint(10, (30,)), size=10)
    Trainer(few, HardLabels(), progress=False, device="cpu").fit(batches, epochs=1)
