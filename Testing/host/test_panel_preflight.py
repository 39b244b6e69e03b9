"""The preflight line: ready, or the first thing that is missing with a button that mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from LiverAILib.errors import BundleError

SHAPES = [(60, 512, 512)] * 3


class FakePackages:
    torch, extension = True, True

    def __init__(self) -> None:
        self.lacking: list[str] = []
        self.done: list[str] = []

    def missing(self) -> list[str]:
        return self.lacking

    def torch_installed(self) -> bool:
        return self.torch

    def torch_extension(self) -> bool:
        return self.extension

    def install_missing(self) -> None:
        self.done.append("packages")
        self.lacking = []

    def install_torch(self) -> None:
        self.done.append("torch")
        self.torch = True


class FakeMachine:
    memory, disk, gpu, model = 64e9, 64e9, False, ""

    def free_memory(self) -> float:
        return self.memory

    def free_disk(self, _folder: Path) -> float:
        return self.disk

    def has_gpu(self) -> bool:
        return self.gpu

    def cores(self) -> int:
        return 2

    def check_model(self) -> None:
        if self.model:
            raise BundleError(self.model)


@pytest.fixture
def preflight(module: Any) -> Any:
    from LiverAIPanel.preflight import Preflight

    return Preflight(FakePackages(), FakeMachine())


def state(preflight: Any, device: str = "auto") -> Any:
    return preflight.check(SHAPES, "/results", device)


def test_ready_says_where_it_runs_and_how_long(preflight: Any) -> None:
    assert state(preflight).ready
    assert "CPU it takes roughly 26 s" in state(preflight).text
    preflight._machine.gpu = True
    preflight.forget()
    assert "on the GPU" in state(preflight).text
    assert "CPU" in state(preflight, "cpu").text


@pytest.mark.parametrize(
    ("what", "words", "remedy"),
    [
        ({"packages.torch": False, "packages.extension": False}, "PyTorch extension is missing", "extensions"),
        ({"packages.torch": False}, "PyTorch is not installed", "torch"),
        ({"packages.lacking": ["psutil>=5.9"]}, "psutil", "packages"),
        ({"machine.model": "Model package liversegnet: its hash is wrong."}, "hash is wrong", "again"),
        ({"machine.memory": 0.5e9}, "GB of memory", "again"),
        ({"machine.disk": 1e6}, "disk for results is full", "folder"),
        ({"machine.disk": 0}, "can't be written", "folder"),
    ],
)
def test_what_is_missing_is_said_with_its_remedy(preflight: Any, what: dict, words: str, remedy: str) -> None:
    for key, value in what.items():
        owner, name = key.split(".")
        setattr(preflight._packages if owner == "packages" else preflight._machine, name, value)
    found = state(preflight)
    assert not found.ready
    assert words in found.text
    assert found.remedy == remedy
    assert found.remedy_title


def test_nothing_is_installed_without_a_click(panel: Any) -> None:
    from LiverAIPanel.preflight import Preflight

    packages = FakePackages()
    packages.torch = False
    panel.packages, panel.preflight = packages, Preflight(packages, FakeMachine())
    panel.refresh_preflight()
    panel.enter()
    assert packages.done == []
    assert panel.run.remedyButton.text == "Install PyTorch..."
    assert not panel.run.analyzeButton.enabled
    panel.run.remedyButton.click()
    assert packages.done == ["torch"]
    assert "at least one phase" in panel.run.ready.text


def test_a_scene_on_a_machine_without_model_packages_is_said(panel: Any, monkeypatch: Any) -> None:
    from LiverAIPanel.preflight import Machine

    monkeypatch.setattr("LiverAILib.bundles.resource", lambda *parts: Path("/nowhere"))
    with pytest.raises(BundleError, match="Install LiverAI again"):
        Machine().check_model()
    panel.preflight.forget()
    panel.refresh_preflight()
    assert "liversegnet" in panel.run.ready.text
