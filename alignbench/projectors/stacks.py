"""The projectors of many trainings as one: stacked parameters, one product for all of them."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.func import functional_call

from alignbench.projectors.architectures import LayerNorm, Linear

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class ModuleStack:
    """Projectors of any architecture, with autograd's gradient.

    Args:
        modules: one projector per training, all of one architecture.
        device: the device of the training.
    """

    def __init__(self, modules: Sequence[nn.Module], device: str) -> None:
        self._module = deepcopy(modules[0])
        self.parameters = _stacked(modules, device)
        for path, value in self.parameters.items():
            owner, _, name = path.rpartition(".")
            setattr(self._module.get_submodule(owner), name, value)
        self._graph: Tensor | None = None

    def project(self, x: Tensor) -> Tensor:
        """Return all trainings' predictions [runs, m, dy], which the caller may overwrite."""
        with torch.no_grad():
            projected: Tensor = self._module(x)
            return projected

    def forward(self, x: Tensor) -> Tensor:
        """Return the predictions, and store what `backward` needs."""
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
        """Return rows in the form that the stack takes."""
        return x

    def alone(self, number: int, parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return the prediction of training `number` for x [m, dx] with these weights."""
        return _alone(self._module, number, parameters, x)


class LinearStack:
    """Linear projectors, with the bias as a last row of the weights, and no new array in a step."""

    def __init__(self, modules: Sequence[Linear], device: str) -> None:
        weight = torch.stack([torch.cat([m.weight.detach(), m.bias.detach()[None]]) for m in modules])
        weight = weight.to(device).requires_grad_()
        weight.grad = torch.zeros_like(weight)
        self.parameters = {"weight": weight}
        self._kept: dict[int, Tensor] = {}
        self._x: Tensor | None = None

    def project(self, x: Tensor) -> Tensor:
        """Return all trainings' predictions, like `ModuleStack`, in memory that the next call reuses."""
        weight = self.parameters["weight"].detach()
        place = self._kept.get(x.shape[1])
        if place is None:
            place = self._kept[x.shape[1]] = weight.new_empty(len(x), x.shape[1], weight.shape[2])
        return torch.bmm(x, weight, out=place)

    def forward(self, x: Tensor) -> Tensor:
        """Return the predictions, and store the rows."""
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
        """Return the prediction of training `number` for x [m, dx] with these weights."""
        return self.rows(x) @ parameters["weight"][number]


class MlpStack:
    """Linear-GELU-Linear, with or without a LayerNorm before the last layer, with an explicit gradient.

    Autograd gives the same numbers, but its bookkeeping takes a fifth of a small training's time.

    Args:
        modules: one projector per training, all of one architecture.
        device: the device of the training.
    """

    def __init__(self, modules: Sequence[nn.Sequential], device: str) -> None:
        self._module = modules[0]
        self.parameters = _stacked(modules, device)
        for value in self.parameters.values():
            value.grad = torch.zeros_like(value)
        norms = [(str(at), layer) for at, layer in enumerate(modules[0]) if isinstance(layer, LayerNorm)]
        linear = [str(at) for at, layer in enumerate(modules[0]) if isinstance(layer, Linear)]
        self._norm = next((_Norm(self.parameters, name, layer.eps) for name, layer in norms), None)
        self._first, self._last = (_Affine(self.parameters, name) for name in linear)
        self._kept: tuple[Tensor, ...] = ()

    def project(self, x: Tensor) -> Tensor:
        """Return all trainings' predictions [runs, m, dy], which the caller may overwrite."""
        return self._steps(x)[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Return the predictions, and store what `backward` needs."""
        *steps, prediction = self._steps(x)
        self._kept = (x, *steps)
        return prediction

    def backward(self, gradient: Tensor) -> None:
        """Set the parameters' gradients, given that of the last `forward`'s prediction."""
        x, hidden, active, last_in = self._kept
        self._last.learn(last_in, gradient)
        gradient = self._last.back(gradient)
        if self._norm is not None:
            gradient = self._norm.learn(active, gradient)
        self._first.learn(x, torch.ops.aten.gelu_backward(gradient, hidden))

    def rows(self, x: Tensor) -> Tensor:
        """Return rows in the form that the stack takes."""
        return x

    def alone(self, number: int, parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return the prediction of training `number` for x [m, dx] with these weights."""
        return _alone(self._module, number, parameters, x)

    def _steps(self, x: Tensor) -> tuple[Tensor, ...]:
        hidden = self._first(x)
        active = nn.functional.gelu(hidden)
        last_in = active if self._norm is None else self._norm(active)
        return hidden, active, last_in, self._last(last_in)


class _Affine:
    """The linear layers of all trainings, by their name among the parameters."""

    def __init__(self, parameters: dict[str, Tensor], name: str) -> None:
        weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
        self._weight, self._bias = weight.detach(), bias.detach().unsqueeze(1)
        self._slopes = weight.grad, bias.grad

    def __call__(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self._bias, x, self._weight)

    def back(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the input, given that of the output."""
        return torch.bmm(gradient, self._weight.transpose(1, 2))

    def learn(self, x: Tensor, gradient: Tensor) -> None:
        """Set the gradients of weight and bias."""
        torch.bmm(x.transpose(1, 2), gradient, out=self._slopes[0])
        torch.sum(gradient, dim=1, out=self._slopes[1])


class _Norm:
    """The LayerNorms of all trainings, by their name among the parameters."""

    def __init__(self, parameters: dict[str, Tensor], name: str, eps: float) -> None:
        weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
        self._weight, self._bias = weight.detach().unsqueeze(1), bias.detach().unsqueeze(1)
        self._slopes = weight.grad, bias.grad
        self._shape, self._eps = weight.shape[-1:], eps
        self._standard = self._mean = self._scale = weight.new_empty(0)

    def __call__(self, x: Tensor) -> Tensor:
        self._standard, self._mean, self._scale = torch.native_layer_norm(
            x, self._shape, None, None, self._eps
        )
        return (self._standard * self._weight).add_(self._bias)

    def learn(self, x: Tensor, gradient: Tensor) -> Tensor:
        """Set the gradients of weight and bias of the last call, with x; return the gradient of x."""
        torch.sum(self._standard * gradient, dim=1, out=self._slopes[0])
        torch.sum(gradient, dim=1, out=self._slopes[1])
        back: Tensor = torch.ops.aten.native_layer_norm_backward(
            gradient * self._weight, x, self._shape, self._mean, self._scale, None, None, [True, False, False]
        )[0]
        return back


Stack = ModuleStack | LinearStack | MlpStack


def stack(modules: Sequence[nn.Module], device: str) -> Stack:
    """Return the modules as one program."""
    linear = [module for module in modules if isinstance(module, Linear)]
    if linear:
        return LinearStack(linear, device)
    mlps = [module for module in modules if isinstance(module, nn.Sequential)]
    return MlpStack(mlps, device) if mlps else ModuleStack(modules, device)


def _stacked(modules: Sequence[nn.Module], device: str) -> dict[str, Tensor]:
    """Return each parameter of all modules, [runs, ...]."""
    return {
        path: nn.Parameter(torch.stack([m.get_parameter(path).detach() for m in modules]).to(device))
        for path, _ in modules[0].named_parameters()
    }


def _alone(module: nn.Module, number: int, parameters: dict[str, Tensor], x: Tensor) -> Tensor:
    own = {name: value[number] for name, value in parameters.items()}
    projected: Tensor = functional_call(module, own, (x,))
    return projected
