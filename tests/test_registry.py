"""A table of functions that users extend: names are new, and what was added can go again."""

import pytest

from nflows_spread.registry import Registry
from support import refused


def double(x):
    return 2 * x


def triple(x):
    return 3 * x


@pytest.fixture
def table():
    return Registry("a factor", {"double": double})


def test_what_is_registered_is_found_by_its_name_after_what_was_there(table):
    table.register("triple", triple)
    assert list(table) == ["double", "triple"]
    assert len(table) == 2
    assert table["triple"](5) == 15


def test_it_goes_when_it_is_removed_or_a_with_ends(table):
    registration = table.register("triple", triple)
    registration.remove()
    assert dict(table) == {"double": double}
    with table.register("triple", triple):
        assert "triple" in table
    assert dict(table) == {"double": double}


def test_it_goes_where_a_with_is_left_by_an_error(table):
    with pytest.raises(ZeroDivisionError), table.register("triple", triple):
        raise ZeroDivisionError
    assert "triple" not in table


def test_removing_it_twice_does_not_take_another_of_the_same_name(table):
    first = table.register("triple", triple)
    first.remove()
    table.register("triple", double)
    first.remove()
    assert table["triple"] is double


@pytest.mark.parametrize(
    ("name", "entry", "error", "words"),
    [
        ("double", triple, ValueError, ("the name of a factor must be new, got 'double' beside double",)),
        ("", triple, ValueError, ("must be new, got ''",)),
        (3, triple, TypeError, ("the name of a factor must be a str, got int",)),
        ("triple", 3.0, TypeError, ("a factor must be a function, got float as 'triple'",)),
    ],
)
def test_a_name_that_is_taken_and_what_is_no_function_are_refused(table, name, entry, error, words):
    with refused(error, *words):
        table.register(name, entry)
    assert dict(table) == {"double": double}


def test_it_cannot_be_written_past_the_checks(table):
    with pytest.raises(TypeError):
        table["triple"] = triple
    with pytest.raises(TypeError):
        del table["double"]
