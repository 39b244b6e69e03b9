"""Parts of a network that a training leaves as they are: of the package that it began with little changes then, and a
repository that keeps every version grows little.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from LiverAILib.errors import StudyError


def freeze(network: nn.Module, parts: Sequence[str]) -> None:
    """Let a training leave parts of a network as they are.

    parts: names of modules, such as `decoders.0`, or patterns with `*`, such as `*.convolution`. Raises StudyError for
    one that names nothing.
    """
    modules = {name: module for name, module in network.named_modules() if name}
    for part in parts:
        named = [module for name, module in modules.items() if fnmatchcase(name, part)]
        if not named:
            known = ", ".join(name for name, _ in network.named_children())
            raise StudyError(f'The network has no part "{part}" to freeze. Choose from {known}, or parts of these.')
        for module in named:
            module.requires_grad_(False)


def keep_statistics(network: nn.Module) -> None:
    """Let batch normalisation work with the running statistics, and leave these as they are."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
