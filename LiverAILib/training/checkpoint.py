"""Training states without pickle: tensors in one safetensors file, the rest in JSON, replaced together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def save_checkpoint(
    folder: Path,
    network: nn.Module,
    kept: Mapping[str, Mapping[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    meta: dict[str, Any],
) -> None:
    """Write `state.safetensors` (weights, the optimizer's moments) and `state.json`. kept: other weights by name, such
    as their average.
    """
    tensors = {f"network.{key}": value for key, value in network.state_dict().items()}
    for name, weights in kept.items():
        tensors |= {f"{name}.{key}": value for key, value in weights.items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": torch.as_tensor(value) for key, value in state.items()}
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "state.safetensors.new"
    save_file(
        {key: value.contiguous().clone() for key, value in tensors.items()}, temporary, {"meta": json.dumps(meta)}
    )
    temporary.replace(folder / "state.safetensors")
    (folder / "state.json").write_text(json.dumps(meta, indent=1))


def load_checkpoint(
    folder: Path, network: nn.Module, kept: Mapping[str, dict[str, Tensor]], optimizer: torch.optim.Optimizer
) -> dict[str, Any] | None:
    """Restore what `save_checkpoint` wrote, in place, `kept` too; its meta, or None if there is no checkpoint."""
    from safetensors import safe_open

    path = folder / "state.safetensors"
    if not path.is_file():
        return None
    with safe_open(path, "pt") as file:
        meta = json.loads(file.metadata()["meta"])
    tensors = load_file(path)
    network.load_state_dict(
        {key.removeprefix("network."): v for key, v in tensors.items() if key.startswith("network.")}
    )
    for name, weights in kept.items():
        prefix = f"{name}."
        there = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        weights.update({key: value.to(weights.get(key, value).device) for key, value in there.items()})
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".", 2)
            state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return dict(meta)
