"""The TensorBoard callback: its curves are those of the run, and it leaves the run alone."""

import pickle

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nflows_spread import Spectrum, SpreadKLLoss, decode, encode, intrinsic_dimension, spectrum
from nflows_spread.dimension.rules import decide
from nflows_spread.models import TABLE_3, convolutional_flow, coupling_flow
from nflows_spread.training import GeometricNoise, TensorBoard, fit

X = torch.randn(300, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([2.0, 1.0, 0.0])


def train(*callbacks, steps=20):
    torch.manual_seed(0)
    objective = SpreadKLLoss(coupling_flow(3, layers=2))
    torch.manual_seed(1)
    result = fit(
        objective,
        X,
        steps=steps,
        batch_size=60,
        learning_rate=1e-3,
        noise_schedule=GeometricNoise(objective, start=0.4, end=0.1, steps=10),
        generator=torch.Generator().manual_seed(2),
        held_out=X[:50],
        evaluate_every=10,
        callbacks=callbacks,
    )
    return objective, result


def events(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator


def curve(accumulator, name):
    return {event.step: event.value for event in accumulator.Scalars(name)}


def test_every_curve_is_there_and_says_what_the_run_did(tmp_path):
    board = TensorBoard(tmp_path, every=5, check_every=20)
    seen = {"norms": {}, "batch": None}

    def record(state):
        seen["batch"] = state.batch[0]
        if state.step % 5 == 0:
            norms = [torch.linalg.vector_norm(p.grad) for p in state.objective.parameters()]
            seen["norms"][state.step] = float(torch.linalg.vector_norm(torch.stack(norms)))

    objective, result = train(board, record)
    board.close()
    found = events(tmp_path)
    assert curve(found, "loss") == pytest.approx({step: result.losses[step - 1] for step in (5, 10, 15, 20)}, rel=1e-6)
    assert curve(found, "learning_rate") == pytest.approx(dict.fromkeys((5, 10, 15, 20), 1e-3), rel=1e-6)
    assert curve(found, "data_noise")[20] == pytest.approx(0.1, rel=1e-6)
    assert curve(found, "held_out_loss") == pytest.approx({e.step: e.loss for e in result.evaluations}, rel=1e-6)
    with torch.no_grad():
        x = seen["batch"]
        error = (decode(objective.flow, encode(objective.flow, x)) - x).abs().max()
    assert curve(found, "invertibility_error")[20] == pytest.approx(float(error), rel=1e-6)
    assert curve(found, "gradient_norm") == pytest.approx(seen["norms"], rel=1e-6)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dimension = intrinsic_dimension(objective.flow, x)
    assert curve(found, "dimension")[20] == int(dimension) == 2
    values = spectrum(objective.flow, X[:60]).eigenvalues
    shown = [curve(found, f"spectrum/eigenvalue_{k:02d}")[20] for k in (1, 2, 3)]
    assert shown == pytest.approx(values.tolist(), rel=1e-5)
    mu = torch.tensor([curve(found, f"spectrum/signal_to_noise_{k:02d}")[20] for k in (1, 2, 3)])
    shown = Spectrum(values, mu, spread_variance=float(objective.base.spread_variance), data_noise=0.1)
    assert curve(found, "dimension")[20] == decide(shown)
    (picture,) = found.Images("data_and_samples")
    assert (picture.height, picture.width) == (64, 128)


def test_samples_of_images_are_shown_as_images(tmp_path):
    torch.manual_seed(0)
    x = torch.rand(4, 1, 8, 8)
    flow = convolutional_flow(**{**TABLE_3, "image_shape": (1, 8, 8)})
    board = TensorBoard(tmp_path, check_every=1)
    fit(SpreadKLLoss(flow, data_noise=0.1), x, steps=1, batch_size=4, callbacks=[board])
    board.close()
    assert len(events(tmp_path).Images("samples")) == 1


def test_the_run_is_the_same_with_and_without_it(tmp_path):
    plain, _ = train()
    logged, _ = train(TensorBoard(tmp_path, every=1, check_every=3))
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), logged.parameters()))


def test_it_travels_to_other_processes(tmp_path):
    board = TensorBoard(tmp_path)
    train(board, steps=2)
    again = pickle.loads(pickle.dumps(board))
    assert (again.folder, again.every) == (board.folder, board.every)


def test_the_steps_between_checks_are_set_and_read_under_their_old_name(tmp_path):
    with pytest.warns(DeprecationWarning, match="the argument look_every of TensorBoard is now called check_every"):
        board = TensorBoard(tmp_path, look_every=7)
    with pytest.warns(DeprecationWarning, match=r"TensorBoard\.look_every is now called check_every"):
        assert board.look_every == board.check_every == 7


@pytest.mark.parametrize("arguments", [{"every": 0}, {"check_every": -1}])
def test_intervals_below_one_are_refused(arguments, tmp_path):
    with pytest.raises(ValueError, match="must be at least 1, got"):
        TensorBoard(tmp_path, **arguments)
