"""Which layer of a source each layer draws from."""

import pytest

from ansatz.errors import UserError
from ansatz.features.matching import match


def test_layers_of_equal_sequences_match_in_order():
    assert match({"a": (3, 3, 3), "b": (3, 3, 3)}, {"x": (3, 3, 3), "y": (3, 3, 3)}) == {"a": "x", "b": "y"}


def test_layers_match_by_patch_where_that_is_unambiguous():
    source = {"x": (8, 3, 3), "y": (3, 3, 3), "z": (9, 1, 1)}
    assert match({"a": (3, 3, 3), "b": (8, 3, 3), "c": (8, 3, 3)}, source) == {"a": "y", "b": "x", "c": "x"}


def test_a_choice_of_layers_decides():
    twins = {"x": (3, 3, 3), "y": (3, 3, 3), "z": (4, 1, 1)}
    assert match({"a": (3, 3, 3), "b": (4, 1, 1)}, twins, {"a": "y"}) == {"a": "y", "b": "z"}
    for layers in ({"a": "z"}, {"a": "w"}, {"c": "x"}):
        with pytest.raises(
            UserError, match=r"layers: \w cannot take \w; the network has a 3x3x3.* the source has x 3x3x3"
        ):
            match({"a": (3, 3, 3)}, twins, layers)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"x": (3, 3, 3), "y": (3, 3, 3)}, "layer a with patches 3x3x3 could take x or y"),
        ({"x": (27, 1, 1)}, "layer a with patches 3x3x3 has no counterpart; .* the source has x 27x1x1"),
    ],
)
def test_ambiguous_or_missing_layers_are_refused_with_the_list(source, expected):
    with pytest.raises(UserError, match=expected):
        match({"a": (3, 3, 3)}, source)
