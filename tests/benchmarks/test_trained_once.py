"""Models that experiments train once: the autoencoder, the classifier, and the file they are kept in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from baselines.vae import VariationalAutoencoder, trained_autoencoder
from paper.sample_quality.classifier import SmallClassifier, trained_classifier
from shared import trained_once

IMAGES = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def untrainable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was trained again")

    monkeypatch.setattr(trained_once, "fit", refuse)


def autoencoder(dtype: torch.dtype = torch.float64) -> VariationalAutoencoder:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return VariationalAutoencoder(64, 3, hidden_features=(20, 10)).to(dtype)


def test_the_autoencoder_has_the_widths_of_the_paper() -> None:
    model = VariationalAutoencoder(784, 5)
    widths = [tuple(p.shape) for p in model.parameters() if p.dim() == 2]
    assert widths == [(400, 784), (200, 400), (10, 200), (200, 5), (400, 200), (784, 400)]
    assert model.decoder_noise == 0.3


def test_its_loss_is_minus_the_evidence_lower_bound() -> None:
    model, x = autoencoder(), IMAGES.flatten(1).double()
    model.generator = torch.Generator().manual_seed(2)
    loss = model(x)
    mean, log_variance = model.posterior(x)
    q = Normal(mean, (0.5 * log_variance).exp())
    noise = torch.empty_like(mean).normal_(generator=torch.Generator().manual_seed(2))
    decoded = model.decoder(q.loc + q.scale * noise)
    bound = Normal(decoded, 0.3).log_prob(x).sum(1) - kl_divergence(q, Normal(0.0, 1.0)).sum(1)
    assert loss.item() == pytest.approx(-bound.mean().item(), rel=1e-10)


def test_the_bound_is_below_the_evidence() -> None:
    model, x = autoencoder(), IMAGES[:5].flatten(1).double()
    generator = torch.Generator().manual_seed(3)
    model.generator = generator
    bound = -torch.stack([model(x).detach() for _ in range(300)]).mean()
    z = torch.empty(20_000, 3, dtype=torch.float64).normal_(generator=generator)
    likelihoods = torch.stack([Normal(model.decoder(z).detach(), 0.3).log_prob(image).sum(1) for image in x])
    evidence = (likelihoods.logsumexp(1) - torch.tensor(20_000.0).log()).mean()
    assert bound < evidence


def test_its_samples_are_decoded_latents_of_its_dimension() -> None:
    model = autoencoder()
    x, z = model.float().sample(200, generator=torch.Generator().manual_seed(0))
    assert x.shape == (200, 64)
    assert z.shape == (200, 3)
    assert torch.equal(x, model.decoder(z))
    again, _ = model.sample(200, generator=torch.Generator().manual_seed(0))
    assert torch.equal(x, again)
    jacobian = torch.func.jacrev(model.decoder)(z[0])
    assert int(torch.linalg.matrix_rank(jacobian)) == 3


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 12)], ids=["grey", "colour"])
def test_the_classifier_has_features_that_do_not_depend_on_the_batch(shape: tuple[int, int, int]) -> None:
    model = SmallClassifier(shape, 4, num_features=7).eval()
    x = torch.rand(1003, *shape, generator=torch.Generator().manual_seed(0))
    assert model.features(x).shape == (1003, 7)
    torch.testing.assert_close(model.features(x)[1000:], model.features(x[1000:]))
    labels = torch.arange(1003) % 4
    probabilities = model.head(model.features(x)).softmax(1)[torch.arange(1003), labels]
    torch.testing.assert_close(model(x, labels), -probabilities.log().mean())


def test_the_classifier_refuses_images_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="multiples of 4, got 8 and 10"):
        SmallClassifier((1, 8, 10))


def test_the_classifier_learns_what_can_be_told_apart(tmp_path: Path) -> None:
    labels = torch.arange(60) % 2
    x = IMAGES + labels.view(-1, 1, 1, 1)
    model = trained_classifier(x[:40], labels[:40], folder=tmp_path, steps=60, batch_size=20)
    assert model.accuracy(x[40:], labels[40:]) == 1.0


def small_autoencoder(folder: Path, steps: int = 30, seed: int = 0, x: torch.Tensor = IMAGES) -> VariationalAutoencoder:
    return trained_autoencoder(
        x.flatten(1), latent_features=2, folder=folder, steps=steps, learning_rate=1e-3, batch_size=20, seed=seed
    )


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values()))


def test_a_model_is_trained_once_and_read_afterwards(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    first = small_autoencoder(tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".pt"]
    request.getfixturevalue("untrainable")
    assert same(first, small_autoencoder(tmp_path))


@pytest.mark.parametrize("other", [{"steps": 31}, {"seed": 1}, {"x": IMAGES.flip(0)}], ids=["steps", "seed", "data"])
def test_other_settings_make_another_model(tmp_path: Path, other: dict[str, object]) -> None:
    first = small_autoencoder(tmp_path)
    assert not same(first, small_autoencoder(tmp_path, **other))  # type: ignore[arg-type]
    assert len(list(tmp_path.iterdir())) == 2


def test_an_interrupted_training_ends_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = small_autoencoder(tmp_path / "whole")
    fit = trained_once.fit

    def interrupted(*arguments: object, **options: object) -> None:
        fit(*arguments, **{**options, "steps": 13})  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(trained_once, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small_autoencoder(tmp_path / "parts")
    assert not list((tmp_path / "parts").glob("*.pt"))
    monkeypatch.setattr(trained_once, "fit", fit)
    assert same(whole, small_autoencoder(tmp_path / "parts"))


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    small_autoencoder(tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=path.name):
        small_autoencoder(tmp_path)
