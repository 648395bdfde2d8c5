"""The projectors of many trainings as one: stacked parameters, one product for all of them."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.func import functional_call

from alignbench.projectors.architectures import Linear

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class ModuleStack:
    """Projectors of any architecture, with autograd's gradient.

    Args:
        modules: a projector a training, all of one architecture.
        device: where they are trained.
    """

    def __init__(self, modules: Sequence[nn.Module], device: str) -> None:
        self._module = deepcopy(modules[0])
        for path in dict(modules[0].named_parameters()):
            owner, _, name = path.rpartition(".")
            stacked = torch.stack([module.get_parameter(path).detach() for module in modules])
            setattr(self._module.get_submodule(owner), name, nn.Parameter(stacked.to(device)))
        self.parameters: dict[str, Tensor] = dict(self._module.named_parameters())
        self._graph: Tensor | None = None

    def project(self, x: Tensor) -> Tensor:
        """Return all trainings' predictions [runs, m, dy], to be overwritten by who gets them."""
        with torch.no_grad():
            projected: Tensor = self._module(x)
            return projected

    def forward(self, x: Tensor) -> Tensor:
        """Return the same, and remember how it came about."""
        for value in self.parameters.values():
            value.grad = None
        self._graph = self._module(x)
        return self._graph.detach().clone()

    def backward(self, gradient: Tensor) -> None:
        """Set the parameters' gradients, given that of the last `forward`'s prediction."""
        assert self._graph is not None
        self._graph.backward(gradient)
        self._graph = None

    def rows(self, x: Tensor) -> Tensor:
        """Return rows as the stack takes them."""
        return x

    def alone(self, number: int, parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return what training `number` predicts of x [m, dx] with these weights."""
        own = {name: value[number] for name, value in parameters.items()}
        projected: Tensor = functional_call(self._module, own, (x,))
        return projected


class LinearStack:
    """Linear projectors, with the bias as a last row of the weights and no array made anew in a step."""

    def __init__(self, modules: Sequence[Linear], device: str) -> None:
        weight = torch.stack([torch.cat([m.weight.detach(), m.bias.detach()[None]]) for m in modules])
        weight = weight.to(device).requires_grad_()
        weight.grad = torch.zeros_like(weight)
        self.parameters = {"weight": weight}
        self._kept: dict[int, Tensor] = {}
        self._x: Tensor | None = None

    def project(self, x: Tensor) -> Tensor:
        """Return all trainings' predictions; as `ModuleStack`, in memory that the next call takes again."""
        weight = self.parameters["weight"].detach()
        place = self._kept.get(x.shape[1])
        if place is None:
            place = self._kept[x.shape[1]] = weight.new_empty(len(x), x.shape[1], weight.shape[2])
        return torch.bmm(x, weight, out=place)

    def forward(self, x: Tensor) -> Tensor:
        """Return the same, and remember the rows."""
        self._x = x
        return self.project(x)

    def backward(self, gradient: Tensor) -> None:
        """Set the weights' gradient, given that of the last `forward`'s prediction."""
        assert self._x is not None
        grad = self.parameters["weight"].grad
        assert grad is not None
        torch.bmm(self._x.transpose(1, 2), gradient, out=grad)

    def rows(self, x: Tensor) -> Tensor:
        """Return rows [..., dx] with the 1 that the bias is multiplied by."""
        return torch.cat([x, x.new_ones(*x.shape[:-1], 1)], dim=-1)

    def alone(self, number: int, parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return what training `number` predicts of x [m, dx] with these weights."""
        return self.rows(x) @ parameters["weight"][number]


Stack = ModuleStack | LinearStack


def stack(modules: Sequence[nn.Module], device: str) -> Stack:
    """Return the modules as one program."""
    linear = [module for module in modules if isinstance(module, Linear)]
    return LinearStack(linear, device) if len(linear) == len(modules) else ModuleStack(modules, device)
