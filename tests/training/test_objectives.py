"""What ``fit`` takes as an objective, and what it says of labels that the objective does not take."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from nflows_spread import SpreadKLLoss
from nflows_spread.models import coupling_flow
from nflows_spread.training import fit
from support import refused
from training_toys import MeanSquare, rows, sine_objective

X = rows()


class Vector(MeanSquare):
    def forward(self, x):
        return super().forward(x).expand(len(x))


NO_LOSSES = {
    "a flow": (
        coupling_flow(2, layers=2),
        TypeError,
        r"must be a loss, got Flow, which is a flow; pass SpreadKLLoss",
    ),
    "a loss for each row": (Vector(), TypeError, r"one number, the loss, got a tensor of shape \(10,\); take the mean"),
    "a net that is frozen": (MeanSquare().requires_grad_(False), ValueError, "got none among the 1 of this MeanSquare"),
    "no parameters": (nn.Identity(), ValueError, "got none among the 0 of this Identity"),
}


@pytest.mark.parametrize(("objective", "error", "message"), NO_LOSSES.values(), ids=NO_LOSSES)
def test_what_is_no_loss_that_can_be_trained_is_refused(objective, error, message):
    with pytest.raises(error, match=message):
        fit(objective, X.to(next(objective.parameters(), X).dtype), steps=1, batch_size=10)


@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_training_without_gradients_is_refused(without):
    with without(), pytest.raises(RuntimeError, match=r"fit needs gradients, .*; call it outside"):
        fit(MeanSquare(), X, steps=1, batch_size=10)


def test_a_flow_in_the_place_of_its_loss_is_refused():
    flow = coupling_flow(2, layers=2)
    with refused(TypeError, "must be a loss, got Flow, which is a flow", "SpreadKLLoss", unchanged=flow):
        fit(flow, X.float(), steps=1, batch_size=10)


LABELLED = {
    "a data set": lambda x, y: TensorDataset(x, y),
    "a loader": lambda x, y: DataLoader(TensorDataset(x, y), batch_size=10),
    "a pair": lambda x, y: (x, y),
    "a pair of arrays": lambda x, y: (x.numpy(), y.numpy()),
    "rows and a list": lambda x, y: (x, y.tolist()),
    "a list of pairs": lambda x, y: list(zip(x, y)),
}


@pytest.mark.parametrize("labelled", LABELLED.values(), ids=LABELLED)
def test_labels_for_a_flow_without_context_are_refused_by_what_they_are(labelled):
    objective = sine_objective()
    x, y = X.float(), torch.arange(60) % 3
    with refused(
        ValueError, "second part of data is a context", "torch.int64", "(10,)", "pass these alone", unchanged=objective
    ):
        fit(objective, labelled(x, y), steps=1, batch_size=10)


def test_labels_that_an_objective_takes_are_given_to_it():
    class Classes(MeanSquare):
        def forward(self, x, y):
            return super().forward(x) + y.double().mean()

    objective = Classes()
    result = fit(objective, TensorDataset(X, torch.ones(60, dtype=torch.long)), steps=1, batch_size=60)
    assert result.losses[0] == pytest.approx(1.0 + 0.5 * float(X.square().sum(1).mean()))


def test_a_context_of_the_wrong_width_keeps_the_error_of_its_net():
    objective = SpreadKLLoss(coupling_flow(2, layers=2, context_features=3), data_noise=0.1)
    with pytest.raises(RuntimeError, match=r"^(?!the second part)"):
        fit(objective, (X.float(), X.float()), steps=1, batch_size=10)
