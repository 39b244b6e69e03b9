"""The training loop: it learns, goes on exactly where it stopped, and refuses what is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from LiverAILib.training.loop import Loop


class Line:
    """Learn y = 3x - 1, with drop-out in the network so that its randomness counts too."""

    title = "line"

    def __init__(self, width: int = 8) -> None:
        torch.manual_seed(0)
        self.network: nn.Module = nn.Sequential(
            nn.Linear(1, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, 1)
        )
        self.optimizer: torch.optim.Optimizer = torch.optim.SGD(self.network.parameters(), momentum=0.9)
        self.spoil = False

    def rate(self, step: int) -> float:
        return 0.02

    def draw(self, generator: torch.Generator) -> Tensor:
        return torch.randn(32, 1, generator=generator)

    def loss(self, x: Tensor) -> Tensor:
        loss: Tensor = (self.network(x) - (3 * x - 1)).square().mean()
        return loss * float("nan") if self.spoil else loss

    def validate(self, network: nn.Module) -> dict[str, float]:
        assert not network.training
        x = torch.linspace(-1, 1, 11).view(-1, 1)
        with torch.no_grad():
            return {"error": float((network(x) - (3 * x - 1)).abs().mean())}


def loop(task: Line, work: Path, steps: int, **options: object) -> Loop:
    settings: dict[str, object] = {"validate_every": 20, "save_every": 60, "say": lambda text: None}
    return Loop(task, work, steps, 5, {"width": 8, "seed": 5}, **(settings | options))  # type: ignore[arg-type]


def test_a_run_learns_and_leaves_checkpoint_and_curves(tmp_path: Path) -> None:
    run = loop(Line(), tmp_path / "work", 120)
    run.run()
    assert sum(run.losses[-20:]) < 0.6 * sum(run.losses[:20])
    assert run.validations[-1]["error"] < run.validations[0]["error"]
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"state.safetensors", "state.json", "curves.png"}


def test_a_run_that_was_stopped_gives_the_same_weights_as_one_that_was_not(tmp_path: Path) -> None:
    whole = loop(Line(), tmp_path / "whole", 40).run()
    loop(Line(), tmp_path / "parts", 25).run()
    torch.rand(7)  # what happens between the two does not matter
    second = loop(Line(), tmp_path / "parts", 40)
    parts = second.run()
    assert second.step == 40
    assert len(second.losses) == 40
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_the_weights_of_the_best_validation_may_be_kept(tmp_path: Path) -> None:
    class Rising(Line):
        """Its third and fourth validation are the best."""

        def validate(self, network: nn.Module) -> dict[str, float]:
            self.seen = [*getattr(self, "seen", []), {key: v.clone() for key, v in network.state_dict().items()}]
            return {"score": [0.1, 0.2, 0.9, 0.9, 0.3][len(self.seen) - 1]}

    task = Rising()
    run = loop(task, tmp_path, 100, keep_best="score", save_every=20)
    kept = run.run()
    assert run.best_validation == {"step": 80.0, "score": 0.9}
    assert (run.kept_step, run.step) == (80, 100)
    assert all(torch.equal(kept[key], value) for key, value in task.seen[3].items())
    again = loop(Rising(), tmp_path, 100, keep_best="score").run()  # nothing left to do
    assert all(torch.equal(kept[key], again[key]) for key in kept)


def test_a_folder_of_another_training_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    loop(Line(), tmp_path, 20).run()
    before = (tmp_path / "state.safetensors").read_bytes()
    other = Loop(Line(16), tmp_path, 20, 5, {"width": 16, "seed": 5}, say=lambda text: None)
    with pytest.raises(ValueError, match="holds another training"):
        other.run()
    assert (tmp_path / "state.safetensors").read_bytes() == before


def test_a_gradient_that_is_not_finite_ends_the_run_and_spares_the_checkpoint(tmp_path: Path) -> None:
    task = Line()
    run = loop(task, tmp_path, 20)
    run.run()
    before = (tmp_path / "state.safetensors").read_bytes()
    task.spoil = True
    with pytest.raises(FloatingPointError, match="not finite at step 20"):
        loop(task, tmp_path, 30).run()
    assert (tmp_path / "state.safetensors").read_bytes() == before


def test_validation_looks_at_the_averaged_weights_and_leaves_the_others_alone(tmp_path: Path) -> None:
    task = Line()
    run = loop(task, tmp_path, 20)
    average = run.run()
    own = task.network.state_dict()
    assert any(not torch.equal(own[key], average[key]) for key in own)
    task.network.load_state_dict(average)
    assert task.validate(task.network.eval())["error"] == pytest.approx(run.validations[-1]["error"])
