"""Convolutional nets: shapes, names for hooks, and what a residual block computes."""

import pytest
import torch
from torch.nn import functional as F

from tinykd import Capture, ConvNet, ResNet
from tinykd.models.convnet import Residual


@pytest.mark.parametrize(("dims", "shape"), [(1, (40,)), (2, (28, 28))])
@pytest.mark.parametrize(("kind", "inside"), [(ConvNet, "blocks"), (ResNet, "stages")])
def test_takes_inputs_with_and_without_a_channel(kind, inside, dims, shape):
    torch.manual_seed(0)
    net = kind(1, 4, 8, 10, dims=dims).eval()
    x = torch.randn(5, *shape)
    with Capture(net, [f"{inside}.0", f"{inside}.1"]) as acts:
        logits = net(x)
        assert acts[f"{inside}.0"].shape[:2] == (5, 4)
        assert acts[f"{inside}.1"].shape[:2] == (5, 8)
        assert acts[f"{inside}.1"].shape[-1] == -(-acts[f"{inside}.0"].shape[-1] // 2)
    assert logits.shape == (5, 10)
    torch.testing.assert_close(net(x.unsqueeze(1)), logits)
    logits.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_a_convnet_is_its_formula():
    torch.manual_seed(0)
    net = ConvNet(1, 3, 2).eval()
    x = torch.randn(4, 9, 9)
    convolution, norm = net.blocks[0][0], net.blocks[0][1]
    norm.running_mean.normal_()
    z = F.conv2d(x[:, None], convolution.weight, stride=2, padding=1)
    z = (z - norm.running_mean[:, None, None]) / (norm.running_var + norm.eps).sqrt()[:, None, None]
    expected = z.relu().mean((2, 3)) @ net.head.weight.T + net.head.bias
    torch.testing.assert_close(net(x), expected)


def test_a_residual_block_that_adds_nothing_is_the_identity():
    block = Residual(4, 4, dims=2).eval()
    block.second[0].weight.data.zero_()
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(block(x), x.relu())
    assert Residual(4, 6, dims=1, stride=2)(torch.randn(3, 4, 7)).shape == (3, 6, 4)


@pytest.mark.parametrize("kind", [ConvNet, ResNet])
def test_sizes_that_make_no_net_are_refused(kind):
    with pytest.raises(ValueError, match=r"\(1, 10\)"):
        kind(1, 10)
    with pytest.raises(ValueError, match="dims=3"):
        kind(1, 4, 10, dims=3)
    with pytest.raises(ValueError, match="depth=0"):
        ResNet(1, 4, 10, depth=0)
