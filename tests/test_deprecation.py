"""Old names: they work, they warn once where they are used, and they never win over the new ones."""

import pickle
from dataclasses import dataclass, replace

import pytest

from nflows_spread import factors, transforms
from nflows_spread.deprecation import RenamedAttribute, moved_names, renamed_arguments, renamed_state
from nflows_spread.estimator.recipe import width_for


@renamed_arguments({"looks": "patience"})
@dataclass(frozen=True)
class Settings:
    patience: int = 1
    steps: int = 2
    looks = RenamedAttribute("patience")
    twice = RenamedAttribute("doubled")

    def doubled(self):
        return 2 * self.patience


class Unset:
    old = RenamedAttribute("set_later")


@renamed_arguments({"sigma": "data_noise"})
def doubled(x, *, data_noise=1.0):
    """Its own words."""
    return 2.0 * x * data_noise


def test_a_dataclass_takes_and_gives_a_field_under_its_old_name():
    with pytest.warns(DeprecationWarning, match="the argument looks of Settings is now called patience") as heard:
        settings = Settings(looks=5)
    assert heard[0].filename == __file__
    assert settings == Settings(patience=5)
    with pytest.warns(DeprecationWarning, match=r"Settings\.looks is now called patience") as heard:
        assert settings.looks == 5
    assert heard[0].filename == __file__


def test_a_function_takes_an_argument_under_its_old_name():
    with pytest.warns(DeprecationWarning, match="the argument sigma of doubled is now called data_noise"):
        assert doubled(3.0, sigma=0.5) == 3.0
    assert doubled.__doc__ == "Its own words."


def test_new_names_do_not_warn(recwarn):
    assert replace(Settings(patience=3), steps=4) == Settings(3, 4)
    assert doubled(1.0, data_noise=2.0) == 4.0
    assert not recwarn.list


def test_an_argument_under_both_names_is_refused():
    with pytest.raises(TypeError, match="Settings takes patience once, got it as looks too; looks is its old name"):
        Settings(patience=1, looks=2)


def test_a_field_is_replaced_under_its_old_name():
    with pytest.warns(DeprecationWarning, match="the argument looks of Settings is now called patience") as heard:
        assert replace(Settings(patience=3, steps=4), looks=5) == Settings(5, 4)
    assert heard[0].filename == __file__


def test_a_class_has_what_its_objects_have_under_an_old_name():
    with pytest.warns(DeprecationWarning, match=r"Settings\.looks is now called patience"):
        assert Settings.looks == 1
    with pytest.warns(DeprecationWarning, match=r"Settings\.twice is now called doubled"):
        assert Settings.twice(Settings(patience=3)) == 6
    assert not hasattr(Unset, "old")


def test_an_argument_of_another_name_is_refused_as_ever():
    with pytest.raises(TypeError, match="unexpected keyword argument 'look'"):
        Settings(look=2)


def test_a_module_finds_what_was_moved_out_of_it():
    old = moved_names("nflows_spread.elsewhere", {"width_for": "nflows_spread.estimator.recipe.width_for"})
    with pytest.warns(
        DeprecationWarning, match=r"elsewhere\.width_for is now nflows_spread\.estimator\.recipe\.width_for"
    ) as heard:
        assert old("width_for") is width_for
    assert heard[0].filename == __file__
    with pytest.raises(AttributeError, match=r"module 'nflows_spread\.elsewhere' has no attribute 'width'"):
        old("width")


def test_a_pickled_state_has_its_new_names():
    assert renamed_state({"looks": 3, "steps": 2}, {"looks": "patience"}) == {"patience": 3, "steps": 2}
    assert renamed_state({"patience": 3}, {"looks": "patience"}) == {"patience": 3}


@pytest.mark.parametrize(
    ("module", "now", "names"),
    [
        ("factors.trained", factors, ["LowerTriangularFactor", "SpreadCholeskyFactor", "LowRankFactor"]),
        ("transforms.normalization", transforms, ["ExplicitActNorm", "VolumePreservingActNorm"]),
    ],
)
def test_pickles_find_classes_whose_module_is_gone(module, now, names):
    """Flows and estimators that an earlier version pickled name the files in which its classes were."""
    for name in names:
        with pytest.warns(DeprecationWarning, match=rf"{module}\.{name} is now {now.__name__}\.{name}"):
            assert pickle.loads(f"cnflows_spread.{module}\n{name}\n.".encode()) is getattr(now, name)
    with pytest.raises(AttributeError, match="attribute 'Gone'"):
        pickle.loads(f"cnflows_spread.{module}\nGone\n.".encode())
