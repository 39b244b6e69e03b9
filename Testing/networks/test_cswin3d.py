"""The backbone: what each target slice sees, shapes, the paper's sizes, attention in stripes against the formula."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from LiverAILib.networks.cswin3d import PRESETS, CSWin3d, CSWinBlock, DropPath, StripeAttention

TINY = replace(
    PRESETS["compact"], stem=2, channels=(8, 16, 32, 64), depths=(1, 1, 1, 1), expansion=2, drop_path=0.0, inputs=1
)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """The same draws in each run, and one thread: layers this small lose time on more."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("depth", "height", "width"), [(11, 64, 64), (13, 32, 96)])
def test_a_stack_gives_four_maps_for_each_slice_that_has_five_neighbours(depth: int, height: int, width: int) -> None:
    maps = CSWin3d(TINY).eval()(torch.zeros(2, 1, depth, height, width))
    assert [tuple(m.shape) for m in maps] == [
        (2 * (depth - 10), c, height // s, width // s) for c, s in zip(TINY.channels, (4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize("size", [(10, 64, 64), (11, 60, 64), (11, 64, 0)])
def test_sizes_that_do_not_fit_are_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        CSWin3d(TINY)(torch.zeros(1, 1, *size))


def test_a_volume_in_one_pass_equals_its_windows_of_eleven_slices() -> None:
    network = CSWin3d(TINY).eval()
    x = torch.randn(1, 1, 13, 64, 64)
    with torch.inference_mode():
        whole = network(x)
        single = [network(x[:, :, first : first + 11]) for first in range(3)]
    for level, maps in enumerate(whole):
        assert torch.allclose(maps, torch.cat([maps_of[level] for maps_of in single]), atol=1e-5)


def test_the_middle_slices_features_depend_on_the_first_and_the_last_of_eleven() -> None:
    x = torch.randn(1, 1, 11, 64, 64, requires_grad=True)
    CSWin3d(TINY).eval()(x)[3].square().sum().backward()
    assert x.grad is not None
    reached = x.grad.abs().sum(dim=(0, 1, 3, 4))
    assert (reached > 0).all()


def test_a_gradient_reaches_every_parameter() -> None:
    network = CSWin3d(TINY).train()
    sum(m.square().sum() for m in network(torch.randn(1, 1, 11, 64, 64))).backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_the_paper_preset_has_the_published_widths_and_compact_the_same_stages() -> None:
    paper, compact = PRESETS["paper"], PRESETS["compact"]
    assert (paper.channels, paper.depths, paper.heads) == ((64, 128, 256, 512), (1, 2, 9, 1), (2, 4, 8, 16))
    assert (paper.stripes[:3], paper.expansion, paper.drop_path) == ((1, 2, 7), 4, 0.2)
    assert (paper.heads, paper.stripes) == (compact.heads, compact.stripes)


@pytest.mark.parametrize("upright", [True, False])
def test_attention_in_a_filled_up_stripe_matches_the_formula(upright: bool) -> None:
    attention = StripeAttention(4, heads=2, stripe=3, upright=upright)
    query, key, value = torch.randn(3, 1, 5, 4, 4)
    found = attention(query, key, value)
    position = attention.position(value.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    expected = torch.zeros_like(value)
    length = 4 if upright else 5
    for first in range(0, length, 3):  # the last stripe is narrower: 4 = 3 + 1, 5 = 3 + 2
        part = (
            (slice(None), slice(None), slice(first, first + 3)) if upright else (slice(None), slice(first, first + 3))
        )
        for head in (slice(0, 2), slice(2, 4)):
            q, k, v = (t[part][..., head].reshape(-1, 2) for t in (query, key, value))
            mixed = torch.softmax(q @ k.T / 2**0.5, dim=1) @ v
            expected[part][..., head] = mixed.reshape(expected[part][..., head].shape)
    assert torch.allclose(found, expected + position, atol=1e-5)


def test_a_block_reaches_along_the_row_and_the_column_and_nowhere_else() -> None:
    block = CSWinBlock(8, heads=2, stripe=1, expansion=2, drop_path=0.0).eval()
    for branch in block.branches:
        torch.nn.init.zeros_(branch.position.weight)
    x = torch.randn(1, 6, 6, 8)
    y = x.clone()
    y[0, 2, 3, 0] += 5
    changed = (block(y) - block(x))[0].abs().amax(dim=-1) > 1e-6
    cross = torch.zeros(6, 6, dtype=torch.bool)
    cross[2, :] = True
    cross[:, 3] = True
    assert torch.equal(changed, cross)


def test_drop_path_keeps_the_mean_and_does_nothing_when_not_training() -> None:
    drop = DropPath(0.25)
    x = torch.ones(4000, 1)
    assert float(drop(x).mean()) == pytest.approx(1.0, abs=0.05)
    assert sorted(set(drop(x).flatten().tolist())) == pytest.approx([0, 4 / 3])
    assert torch.equal(drop.eval()(x), x)
