"""LiverSegNet: shapes, gradients, widths, and that its parts are what the paper names."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from LiverAILib.networks.liversegnet import PRESETS, InstanceNorm, LiverSegNet, NonLocal, ScSE, SplitConvUnit

TINY = replace(PRESETS["compact"], stem=4, levels=(8, 8, 16, 16), bottom=(16, 16), group_width=2, pool_bins=(1, 2))


@pytest.mark.parametrize("size", [(8, 96, 96), (16, 96, 128)])
def test_the_output_has_the_inputs_size_and_two_channels(size: tuple[int, int, int]) -> None:
    network = LiverSegNet(TINY).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, *size)).shape == (1, 2, *size)


@pytest.mark.parametrize("size", [(12, 96, 96), (8, 100, 96), (8, 64, 96)])
def test_sizes_that_do_not_fit_are_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="multiples"):
        LiverSegNet(TINY)(torch.zeros(1, 1, *size))


def test_training_gives_three_deeply_supervised_scales_beside_the_output() -> None:
    outputs = LiverSegNet(TINY).train()(torch.zeros(2, 1, 8, 96, 96))
    assert [tuple(o.shape) for o in outputs] == [
        (2, 2, 8, 96, 96),
        (2, 2, 4, 24, 24),
        (2, 2, 2, 12, 12),
        (2, 2, 1, 6, 6),
    ]


def test_a_volume_gives_the_same_in_training_and_after_alone_and_in_a_batch() -> None:
    torch.manual_seed(0)
    network = LiverSegNet(TINY)
    volumes = torch.randn(2, 1, 8, 96, 96) * torch.tensor([1.0, 0.2]).view(2, 1, 1, 1, 1)
    with torch.inference_mode():
        learning = network.train()(volumes)
        after = network.eval()(volumes)
        alone = torch.cat([network(volume) for volume in volumes.split(1)])
    assert torch.allclose(learning[0], after, atol=1e-3)
    assert torch.allclose(alone, after, atol=1e-3)
    assert not list(network.buffers())  # nothing is remembered of what was seen


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last_3d])
def test_the_gradient_of_the_normalisation_is_right_in_whatever_order_it_comes(order: torch.memory_format) -> None:
    torch.manual_seed(0)
    norm = InstanceNorm(4)
    nn.init.normal_(norm.weight)
    x = torch.randn(1, 4, 6, 10, 12, requires_grad=True)
    arriving = torch.randn(1, 4, 6, 10, 12).contiguous(memory_format=order)
    found = torch.autograd.grad(norm(x), [x, norm.weight, norm.bias], arriving)
    variance, mean = torch.var_mean(x, (2, 3, 4), unbiased=False, keepdim=True)
    scale, shift = norm.weight.view(1, -1, 1, 1, 1), norm.bias.view(1, -1, 1, 1, 1)
    plain = (x - mean) / (variance + norm.eps).sqrt() * scale + shift
    assert torch.allclose(norm(x), plain, atol=1e-5)
    for own, wanted in zip(found, torch.autograd.grad(plain, [x, norm.weight, norm.bias], arriving), strict=True):
        assert torch.allclose(own, wanted, atol=1e-4)


def test_the_networks_gradient_is_the_loss_slope() -> None:
    """A step along the gradient changes the loss by the square of its length, as far as the step is small."""
    torch.manual_seed(0)
    network = LiverSegNet(TINY).double().train()
    volume = torch.randn(1, 1, 8, 96, 96).double()

    def loss() -> Tensor:
        outputs: list[Tensor] = network(volume)
        return torch.stack([(output - 1).square().mean() for output in outputs]).sum()

    value = loss()
    gradients = torch.autograd.grad(value, list(network.parameters()))
    steepness = float(sum(part.square().sum() for part in gradients))
    step = 1e-5
    with torch.no_grad():
        for weight, part in zip(network.parameters(), gradients, strict=True):
            weight -= step * part
        fallen = float(value - loss())
    assert fallen == pytest.approx(step * steepness, rel=0.02)


def test_a_gradient_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    network = LiverSegNet(TINY).train()
    for module in network.modules():
        if isinstance(module, NonLocal):  # starts at zero, which would hide its inner weights from the gradient
            nn.init.normal_(module.out.weight, std=0.1)
    sum(o.float().square().sum() for o in network(torch.randn(1, 1, 8, 96, 96))).backward()
    # A key's bias adds the same to every score of a query, which softmax ignores: its gradient is zero by nature.
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_the_paper_preset_has_wide_levels_and_the_compact_one_the_same_topology() -> None:
    assert PRESETS["paper"].levels == (64, 128, 256, 512)
    with torch.device("meta"):
        paper, compact = LiverSegNet("paper"), LiverSegNet("compact")
    assert [type(m) for m in paper.modules()] == [type(m) for m in compact.modules()]
    assert sum(p.numel() for p in compact.parameters()) < 5e6


def test_the_split_unit_has_a_five_and_a_seven_kernel_on_half_of_the_channels_each() -> None:
    unit = SplitConvUnit(16, 24, group_width=4)
    assert unit.conv5.kernel_size == (5, 5)
    assert unit.conv7.kernel_size == (7, 7)
    assert unit.conv5.in_channels == unit.conv7.in_channels == 8
    assert unit.conv5.groups == 2
    assert unit(torch.zeros(1, 16, 9, 9)).shape == (1, 24, 9, 9)


def test_scse_gates_by_channel_and_by_place() -> None:
    gate = ScSE(4)
    nn.init.zeros_(gate.spatial_gate[0].weight)
    nn.init.constant_(gate.spatial_gate[0].bias, -50.0)  # the spatial gate shut
    nn.init.zeros_(gate.channel_gate[3].weight)
    with torch.no_grad():
        gate.channel_gate[3].bias.copy_(torch.tensor([50.0, -50.0, 0.0, 50.0]))
    out = gate(torch.ones(1, 4, 3, 3))
    assert out[0, :, 1, 1].tolist() == pytest.approx([1, 0, 0.5, 1], abs=1e-6)


def test_pooled_attention_sees_the_whole_slice() -> None:
    torch.manual_seed(1)
    block = NonLocal(8, 2, (1, 3))
    nn.init.normal_(block.out.weight)
    x = torch.randn(1, 8, 12, 12)
    y = x.clone()
    y[..., 11, 11] += 5
    assert (block(y) - block(x))[0, :, 0, 0].abs().max() > 1e-4


def test_attention_without_pooling_matches_the_formula() -> None:
    torch.manual_seed(2)
    block = NonLocal(8, 3)
    nn.init.normal_(block.out.weight)
    x = torch.randn(1, 8, 2, 3, 3)
    query = block.query(x).flatten(2)[0]
    key, value = block.key_value(x).flatten(2)[0].chunk(2)
    weights = torch.softmax(query.T @ key / block.inner**0.5, dim=1)
    expected = x + block.out((value @ weights.T).view(1, block.inner, 2, 3, 3))
    assert torch.allclose(block(x), expected, atol=1e-5)
