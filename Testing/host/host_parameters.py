"""A stand-in for slicer.parameterNodeWrapper: typed attributes on a scripted module node."""

from __future__ import annotations

import typing
from typing import Any

import slicer


def parameterNodeWrapper(kind: Any) -> Any:
    """Give a class of annotated attributes their storage in a parameter node: nodes as references, the rest as text.

    As in Slicer: defaults are written when the wrapper is made, a value of another type raises, numpy's scalars too.
    """
    hints = typing.get_type_hints(kind)
    defaults = {name: getattr(kind, name, None) for name in hints}

    def begin(self: Any, node: Any) -> None:
        self.parameterNode = node
        for name, hint in hints.items():
            if not _is_node(hint) and not node.GetParameter(name):
                setattr(self, name, defaults[name])
            elif not _is_node(hint):
                getattr(self, name)

    kind.__init__ = begin
    for name, hint in hints.items():
        setattr(kind, name, _attribute(name, hint))
    return kind


def _is_node(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, slicer.vtkMRMLNode)


def _attribute(name: str, hint: Any) -> property:
    def get(self: Any) -> Any:
        node = self.parameterNode
        if _is_node(hint):
            return node.GetNodeReference(name)
        text = node.GetParameter(name)
        if hint is bool:
            if text not in ("True", "False"):
                raise ValueError(f"{name}: {text!r}")
            return text == "True"
        return hint(text[1:] if hint is str else text)

    def put(self: Any, value: Any) -> None:
        node = self.parameterNode
        if _is_node(hint):
            node.SetNodeReferenceID(name, value.GetID() if value is not None else None)
            return
        if type(value) is not hint:
            raise TypeError(f"{name} takes {hint.__name__}, not {type(value).__name__}")
        node.SetParameter(name, f"={value}" if hint is str else str(value))

    return property(get, put)
