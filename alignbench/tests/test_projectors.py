"""Projectors trained together give what each gives alone, and what a plain loop gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from alignbench.errors import InputError
from alignbench.projectors import LOSSES, PROJECTORS, RIDGE
from alignbench.projectors.architectures import CrossAttention, Linear, build
from alignbench.projectors.fit import Split, Training, fit
from alignbench.projectors.losses import BIAS, LOSS_FUNCTIONS, SCALE
from alignbench.projectors.ridge import PENALTY, ridge
from alignbench.projectors.stacks import ModuleStack, stack

N, DX, DY = 24, 6, 5
NONE = np.zeros(N, dtype=bool)


def sides(projector: str, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, DX)) + 3
    y = x @ rng.standard_normal((DX, DY)) + 0.1 * rng.standard_normal((N, DY)) - 5
    if projector == "cross_attention":
        x = x[:, None, :] + 0.1 * rng.standard_normal((N, 4, DX))
    return x.astype(np.float32), y.astype(np.float32)


def splits(count: int, *, uneven: bool = False) -> list[Split]:
    found = []
    for seed in range(count):
        part = np.random.default_rng(seed).permutation(N)
        test, held_out, train = (np.zeros(N, dtype=bool) for _ in range(3))
        test[part[:6]] = held_out[part[6:10]] = train[part[10 + (seed if uneven else 0) :]] = True
        found.append(Split(train, held_out, test, seed))
    return found


def plain(x: Any, y: Any, split: Split, training: Training) -> tuple[Any, list[float], list[float]]:
    """Train one projector as a textbook would."""
    rows = np.flatnonzero(split.train)
    axes = tuple(range(x.ndim - 1))
    mean_x, mean_y = x[rows].mean(axis=axes), y[rows].mean(axis=0)
    scale_x, scale_y = (x[rows] - mean_x).std(), (y[rows] - mean_y).std()
    a, b = (torch.from_numpy((x - mean_x) / scale_x), torch.from_numpy((y - mean_y) / scale_y))
    module = build(training.projector, x.shape[-1], y.shape[1], split.seed)
    scale = torch.tensor([SCALE, BIAS], requires_grad=True)
    optimiser = torch.optim.Adam([*module.parameters(), scale], lr=training.lr)

    def loss(chosen: Any) -> Any:
        f, t = module(a[chosen]), b[chosen]
        if training.loss == "mse":
            return nn.functional.mse_loss(f, t)
        if training.loss == "cosine":
            return 1 - nn.functional.cosine_similarity(f, t).mean()
        z = 2 * torch.eye(len(f)) - 1
        logits = scale[0].exp() * nn.functional.normalize(f) @ nn.functional.normalize(t).T + scale[1]
        return -nn.functional.logsigmoid(z * logits).sum() / len(f)

    history: tuple[list[float], list[float]] = ([], [])
    for _ in range(training.epochs):
        optimiser.zero_grad()
        value = loss(split.train)
        value.backward()
        optimiser.step()
        history[0].append(float(value.detach()))
        with torch.no_grad():
            history[1].append(float(loss(split.held_out)))
    with torch.no_grad():
        return module(a[split.test]).numpy() * scale_y + mean_y, *history


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSS_FUNCTIONS)
@pytest.mark.parametrize("projector", PROJECTORS)
def test_trained_together_equals_a_plain_loop(projector: str, loss: str) -> None:
    x, y = sides(projector)
    training = Training(projector, loss, epochs=20, lr=1e-2)
    for split, fitted in zip(splits(3), fit(x, y, splits(3), training), strict=True):
        prediction, train_loss, held_out_loss = plain(x, y, split, training)
        np.testing.assert_allclose(fitted.prediction, prediction, rtol=0, atol=2e-4)
        np.testing.assert_allclose(fitted.train_loss, train_loss, rtol=2e-4, atol=1e-5)
        np.testing.assert_allclose(fitted.held_out_loss, held_out_loss, rtol=2e-4, atol=1e-5)


def augmented(x: Any, y: Any, rows: Any, penalty: float) -> Any:
    """Return the penalised fit by ordinary least squares, with a row of data for each weight's penalty."""
    weight = np.sqrt(penalty * np.square(x).sum(axis=1).mean())
    stacked = np.vstack([x, weight * np.eye(x.shape[1])])
    targets = np.vstack([y, np.zeros((x.shape[1], y.shape[1]))])
    return rows @ np.linalg.lstsq(stacked, targets)[0]


@pytest.mark.parametrize("n", [7, 40])  # fewer rows than columns, and more
def test_ridge_is_least_squares_with_a_row_for_each_penalty(n: int) -> None:
    rng = np.random.default_rng(0)
    x, y, rows = rng.normal(size=(n, 12)), rng.normal(size=(n, 3)), rng.normal(size=(5, 12))
    for penalty in (0.01, 16.0):
        np.testing.assert_allclose(ridge(x, y, rows, penalty), augmented(x, y, rows, penalty), atol=1e-8)
    np.testing.assert_allclose(ridge(1e3 * x, y, 1e3 * rows), ridge(x, y, rows))
    assert not ridge(np.zeros((n, 12)), y, rows).any()


def test_a_solved_projector_is_the_ridge_of_the_train_rows() -> None:
    x, y = sides("linear")
    order = np.random.default_rng(1).permutation(N)
    for split in (*splits(2, uneven=True), replace(splits(1)[0], order=order)):
        targets = y if split.order is None else y[split.order]
        mean_x, mean_y = x[split.train].mean(axis=0), targets[split.train].mean(axis=0)
        a, b = (x - mean_x).astype(np.float64), (targets - mean_y).astype(np.float64)
        expected = augmented(a[split.train], b[split.train], a, PENALTY)
        [fitted] = fit(x, y, [split], Training(loss=RIDGE))
        np.testing.assert_allclose(fitted.prediction, expected[split.test] + mean_y, atol=1e-4)
        errors = np.square(expected - b).mean(axis=1) / b[split.train].var()
        np.testing.assert_allclose(fitted.train_loss, [errors[split.train].mean()], rtol=1e-4)
        np.testing.assert_allclose(fitted.held_out_loss, [errors[split.held_out].mean()], rtol=1e-4)
        assert fitted.epoch == 0


@pytest.mark.parametrize("projector", ["linear", "mlp", "2layer_mlp"])
def test_a_gradient_written_out_is_that_of_autograd(projector: str) -> None:
    modules = [build(projector, DX, DY, seed) for seed in range(3)]
    torch.manual_seed(0)
    x, slope = torch.randn(3, N, DX), torch.randn(3, N, DY)
    for module in modules:
        for value in module.parameters():  # a LayerNorm starts as if it were not there
            value.data += 0.1 * torch.randn_like(value)
    together, autograd = stack(modules, "cpu"), ModuleStack(modules, "cpu")
    assert not isinstance(together, ModuleStack)
    torch.testing.assert_close(together.forward(together.rows(x)), autograd.forward(x))
    together.backward(slope)
    autograd.backward(slope)
    expected: dict[str, Any] = {name: value.grad for name, value in autograd.parameters.items()}
    if projector == "linear":
        expected = {"weight": torch.cat([expected["weight"], expected["bias"][:, None]], dim=1)}
    for name, parameter in together.parameters.items():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("patience", [None, 3])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_training_does_not_depend_on_those_beside_it(loss: str, patience: int | None) -> None:
    x, y = sides("linear")
    training = Training("linear", loss, epochs=60, lr=5e-2, patience=patience)
    together = fit(x, y, splits(4, uneven=True), training)
    for split, fitted in zip(splits(4, uneven=True), together, strict=True):
        (alone,) = fit(x, y, [split], training)
        assert alone.epoch == fitted.epoch
        np.testing.assert_allclose(alone.prediction, fitted.prediction, atol=1e-4)


def test_early_stopping_keeps_the_epoch_with_the_least_held_out_loss() -> None:
    x, y = sides("linear")
    noise = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    stopped = fit(x, noise, splits(3), Training(epochs=200, lr=5e-2, patience=10))
    to_the_end = fit(x, noise, splits(3), Training(epochs=200, lr=5e-2))
    for early, late in zip(stopped, to_the_end, strict=True):
        best = int(np.argmin(late.held_out_loss[: early.epoch + 10]))
        assert early.epoch == best + 1 < late.epoch == 200
        assert not np.allclose(early.prediction, late.prediction, atol=1e-3)


@pytest.mark.slow
def test_a_linear_relation_is_learnt_and_a_shuffled_one_is_not() -> None:
    x, y = sides("linear")
    own = splits(2)
    order = np.random.default_rng(5).permutation(N)
    shuffled = [Split(s.train, s.held_out, s.test, s.seed, order) for s in own]
    for split, right, wrong in zip(
        own, *(fit(x, y, s, Training(epochs=400, lr=2e-2)) for s in (own, shuffled)), strict=True
    ):
        total = np.square(y[split.test] - y[split.train].mean(axis=0)).mean()
        assert np.square(right.prediction - y[split.test]).mean() < 0.3 * total
        assert np.square(wrong.prediction - y[split.test]).mean() > 0.8 * total


def test_rows_of_one_group_are_no_negatives() -> None:
    x, y = sides("linear")
    doubled, again = np.concatenate([x, x]), np.concatenate([y, y])
    groups = [f"g{i}" for i in (*range(N), *range(N))]
    masks = [
        Split(np.tile(s.train, 2), np.tile(s.held_out, 2), np.tile(s.test, 2), s.seed) for s in splits(1)
    ]
    training = Training(loss="contrastive", epochs=1)
    (apart,) = fit(doubled, again, masks, training)
    (joined,) = fit(doubled, again, masks, training, groups=groups)
    (once,) = fit(x, y, splits(1), training)
    assert joined.train_loss[0] < apart.train_loss[0]
    assert joined.train_loss[0] > once.train_loss[0]


def test_cross_attention_is_what_keys_and_values_written_out_give() -> None:
    torch.manual_seed(0)
    module = CrossAttention(8, 3, queries=5, heads=2).double()
    patches = torch.randn(4, 7, 8, dtype=torch.float64)
    read = []
    for head in range(2):
        keys, values = patches @ module.key[head].T, patches @ module.value[head]
        weights = (module.query[:, head] @ keys.transpose(1, 2) / 2).softmax(dim=-1)  # sqrt(8 / 2) = 2
        read.append(weights @ values)
    tokens = nn.functional.gelu(module.hidden(module.norm(torch.cat(read, dim=-1))))
    torch.testing.assert_close(module(patches), module.out(tokens).mean(dim=1))


def test_the_two_layer_mlp_has_its_norm_where_it_was_published() -> None:
    module = build("2layer_mlp", DX, DY, 0)
    for value in module.parameters():
        value.data += 0.1 * torch.randn_like(value)
    first, scale, last = (dict(module[at].named_parameters()) for at in (0, 2, 3))  # type: ignore[index]
    x = torch.randn(N, DX)
    hidden = nn.functional.gelu(x @ first["weight"] + first["bias"])
    standard = (hidden - hidden.mean(dim=1, keepdim=True)) / (
        hidden.var(dim=1, keepdim=True, correction=0) + 1e-5
    ).sqrt()
    expected = (standard * scale["weight"] + scale["bias"]) @ last["weight"] + last["bias"]
    torch.testing.assert_close(module(x), expected)


def test_linear_starts_as_torch_does() -> None:
    torch.manual_seed(3)
    ours = Linear(4, 2)
    torch.manual_seed(3)
    theirs = nn.Linear(4, 2)
    torch.testing.assert_close(ours(torch.eye(4)), theirs(torch.eye(4)))


def test_building_leaves_the_generator_alone() -> None:
    torch.manual_seed(1)
    build("mlp", 3, 2, seed=7)
    first = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(first, torch.rand(1))


def test_every_declared_name_is_there() -> None:
    assert set(LOSSES) == {*LOSS_FUNCTIONS, RIDGE}
    assert all(build(name, 4, 3, 0) is not None for name in PROJECTORS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": Training(loss="msee")}, "Did you mean 'mse'"),
        ({"training": Training("mlp", RIDGE)}, "ridge: only a linear projector is solved for it, got mlp"),
        ({"training": Training("lineer")}, "Did you mean 'linear'"),
        ({"training": Training("cross_attention")}, r"expected x \[n, p, dx\]"),
        ({"training": Training(epochs=0)}, "epochs: expected at least 1"),
        ({"y": np.zeros((3, 2), dtype=np.float32)}, "got"),
        ({"splits": [Split(NONE, NONE, NONE, 0)]}, "split 0: expected a mask of 24 rows with some train"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], message: str) -> None:
    x, y = sides("linear")
    given: dict[str, Any] = {"x": x, "y": y, "splits": splits(1), "training": Training(epochs=1)} | change
    with pytest.raises(InputError, match=message):
        fit(**given)
