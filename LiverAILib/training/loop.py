"""A resumable training of a network: steps, rate, average of the weights, checkpoints, curves.

What is drawn in a step depends on the seed and the step's number only, so a run that was stopped and goes on gives the
same weights as one that was not. The next batch is drawn in a thread while this one is learnt from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

from LiverAILib.training.checkpoint import load_checkpoint, save_checkpoint


class Task(Protocol):
    """What differs between trainings."""

    @property
    def network(self) -> nn.Module:
        """What is trained, in place."""
        ...

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Over its parameters."""
        ...

    @property
    def title(self) -> str:
        """Of the curves."""
        ...

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        ...

    def draw(self, generator: torch.Generator) -> Any:
        """One batch; not called twice at once, but beside `loss` and `validate`."""
        ...

    def loss(self, batch: Any) -> Tensor:
        """The loss of one batch."""
        ...

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Named figures of a network in evaluation mode; an empty dict without validation data."""
        ...


@dataclass
class Loop:
    """One training in a work folder. identity: what must be the same when a run goes on, e.g. the recipe's sizes.

    keep_best: the validation figure by which the averaged weights are kept, those of the last step if empty.
    minutes: end after this time over all runs, if sooner than the steps; the learning rate then takes its course over
    the time, and a run that was stopped no longer gives exactly the weights of one that was not.
    """

    task: Task
    work: Path
    steps: int
    seed: int
    identity: Mapping[str, Any]
    keep_best: str = ""
    average_decay: float = 0.998
    save_every: int = 500
    validate_every: int = 500
    clip_norm: float = 5.0
    say: Callable[[str], None] = print
    minutes: float | None = None
    save_minutes: float = 4.0
    step: int = 0
    spent_minutes: float = 0.0
    losses: list[float] = field(default_factory=list)
    validations: list[dict[str, float]] = field(default_factory=list)
    average: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def by_epochs(
        cls,
        task: Task,
        work: Path,
        steps: float,
        seed: int,
        identity: Mapping[str, Any],
        steps_per_epoch: int,
        minutes: float | None,
        say: Callable[[str], None],
        keep_best: str = "",
    ) -> Loop:
        """A loop that validates and saves after each epoch, but not more often than every 50 steps and not more
        seldom than every 500.
        """
        every = min(max(steps_per_epoch, 50), 500)
        return cls(
            task,
            work,
            round(steps),
            seed,
            identity,
            keep_best=keep_best,
            save_every=every,
            validate_every=every,
            say=say,
            minutes=minutes,
        )

    def run(self) -> dict[str, Tensor]:
        """Train to the last step, from the last checkpoint if there is one; returns the averaged weights, see
        `keep_best`.

        Raises ValueError if the folder holds another training, FloatingPointError if a gradient is not finite.
        """
        network = self.task.network
        self.average = {key: value.detach().clone() for key, value in network.state_dict().items()}
        self._resume()
        started = time.monotonic() - 60 * self.spent_minutes
        saved = self.spent_minutes
        with ThreadPoolExecutor(1) as drawer:
            # Batches are drawn by one thread. With a second team of threads beside its own a step on two cores took
            # 0.75 s instead of 0.57: OpenMP then lets waiting threads sleep, and each of many short loops wakes them.
            drawer.submit(torch.set_num_threads, 1).result()
            self._steps(drawer, started, saved)
        return self.best or self.average

    @property
    def best_validation(self) -> dict[str, float] | None:
        """The one with the highest figure of `keep_best`, the last of equals; None without such a figure."""
        rows = [row for row in reversed(self.validations) if self.keep_best in row]
        return max(rows, key=lambda row: row[self.keep_best], default=None)

    @property
    def kept_step(self) -> int:
        """The step after which the weights were as `run` returns them."""
        best = self.best_validation
        return int(best["step"]) if self.best and best else self.step

    def _steps(self, drawer: ThreadPoolExecutor, started: float, saved: float) -> None:
        coming = self._drawn(drawer, self.step)
        while self.progress < 1:
            batch = coming.result()
            coming = self._drawn(drawer, self.step + 1)
            self._one_step(batch)
            self.spent_minutes = (time.monotonic() - started) / 60
            over = self.progress >= 1
            if self.step % 20 == 0:
                self.say(
                    f"step {self.step} of {self.steps}, {self.spent_minutes:.1f} min: "
                    f"loss {np.mean(self.losses[-20:]):.3f}"
                )
            if self.step % self.validate_every == 0 or over:
                self._validate()
            if self.step % self.save_every == 0 or over or self.spent_minutes - saved > self.save_minutes:
                saved = self.spent_minutes
                self._save()

    def _drawn(self, drawer: ThreadPoolExecutor, step: int) -> Future[Any]:
        return drawer.submit(self.task.draw, torch.Generator().manual_seed(self.seed * 1_000_003 + step))

    @property
    def progress(self) -> float:
        """The part of the budget that is spent, in steps or in minutes."""
        return max(self.step / max(self.steps, 1), self.spent_minutes / self.minutes if self.minutes else 0.0)

    def _one_step(self, batch: Any) -> None:
        rate = self.task.rate(self.step if self.minutes is None else int(self.progress * self.steps))
        for group in self.task.optimizer.param_groups:
            group["lr"] = rate
        network = self.task.network.train()
        with torch.random.fork_rng():  # drop-out too follows from the step
            torch.manual_seed(self.seed * 1_000_003 + self.step)
            loss = self.task.loss(batch)
        self.task.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), self.clip_norm)
        if not torch.isfinite(norm):
            raise FloatingPointError(
                f"The gradient is not finite at step {self.step}; the last checkpoint is unharmed. "
                "Go on with a smaller learning rate."
            )
        self.task.optimizer.step()
        decay = min(self.average_decay, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for key, value in network.state_dict().items():
                if value.is_floating_point():
                    self.average[key].lerp_(value, 1 - decay)
                else:
                    self.average[key].copy_(value)
        self.step += 1
        self.losses.append(float(loss.detach()))

    def _validate(self) -> None:
        """Figures of the averaged weights."""
        network = self.task.network
        own = {key: value.detach().clone() for key, value in network.state_dict().items()}
        network.load_state_dict(self.average)
        figures = self.task.validate(network.eval())
        network.load_state_dict(own)
        if figures:
            self.validations.append({"step": float(self.step), **figures})
            if self.best_validation is self.validations[-1]:
                self.best = {key: value.clone() for key, value in self.average.items()}
            self.say(f"validation at step {self.step}: " + ", ".join(f"{k} {v:.3f}" for k, v in figures.items()))

    @property
    def _kept(self) -> dict[str, dict[str, Tensor]]:
        """The weights of a checkpoint beside the network's own."""
        return {"average": self.average, "best": self.best}

    def _save(self) -> None:
        meta = {
            "step": self.step,
            "minutes": self.spent_minutes,
            "losses": self.losses,
            "validations": self.validations,
            "identity": dict(self.identity),
        }
        save_checkpoint(self.work, self.task.network, self._kept, self.task.optimizer, meta)
        plot_curves(self.work / "curves.png", self.task.title, self.losses, self.validations)

    def _resume(self) -> None:
        state = self.work / "state.safetensors"
        if not state.is_file():
            return
        with safe_open(state, "pt") as file:  # look before anything is overwritten
            there = json.loads(file.metadata()["meta"]).get("identity")
        if there != json.loads(json.dumps(dict(self.identity))):
            raise ValueError(f"{self.work} holds another training ({there}). Choose another work folder.")
        meta = load_checkpoint(self.work, self.task.network, self._kept, self.task.optimizer)
        assert meta is not None
        self.step, self.losses, self.validations = meta["step"], meta["losses"], meta["validations"]
        self.spent_minutes = meta["minutes"]
        self.say(f"going on at step {self.step}")


def plot_curves(path: Path, title: str, losses: list[float], validations: list[dict[str, float]]) -> None:
    """A picture of the loss and of the validation figures over steps."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4), dpi=120, layout="constrained")
    width = max(1, len(losses) // 100)
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
    axis.plot(np.arange(len(smooth)) + width, smooth, color="0.5", label="training loss")
    axis.set(xlabel="step", ylabel="loss", title=title)
    if validations:
        twin = axis.twinx()
        for name in validations[-1]:
            if name != "step":
                twin.plot([row["step"] for row in validations], [row[name] for row in validations], ".-", label=name)
        twin.set(ylabel="validation")
    figure.legend(loc="outside lower center", ncols=4)
    figure.savefig(path)
    plt.close(figure)
