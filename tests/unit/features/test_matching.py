"""Which layer of a source each layer draws from."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansatz.errors import UserError
from ansatz.features.matching import match, shuffle


def layers_of(matched):
    return {layer: chosen.layer for layer, chosen in matched.items()}


def test_layers_of_equal_sequences_match_in_order():
    matched = match({"a": (3, 3, 3), "b": (3, 3, 3)}, {"x": (3, 3, 3), "y": (3, 3, 3)})
    assert matched == {"a": ("x", "order"), "b": ("y", "order")}


def test_layers_match_by_name_where_several_fit():
    source = {"a": (3, 3, 3), "x": (3, 3, 3), "c": (8, 3, 3), "d": (9, 1, 1)}
    matched = match({"a": (3, 3, 3), "b": (8, 3, 3), "c": (9, 1, 1)}, source, {"b": "c"})
    assert matched == {"a": ("a", "name"), "b": ("c", "layers"), "c": ("d", "shape")}


def test_layers_match_by_patch_where_that_is_unambiguous():
    source = {"x": (8, 3, 3), "y": (3, 3, 3), "z": (9, 1, 1)}
    matched = match({"a": (3, 3, 3), "b": (8, 3, 3), "c": (8, 3, 3)}, source)
    assert layers_of(matched) == {"a": "y", "b": "x", "c": "x"}


def test_a_choice_of_layers_decides():
    twins = {"x": (3, 3, 3), "y": (3, 3, 3), "z": (4, 1, 1)}
    assert layers_of(match({"a": (3, 3, 3), "b": (4, 1, 1)}, twins, {"a": "y"})) == {"a": "y", "b": "z"}
    for layers in ({"a": "z"}, {"a": "w"}, {"c": "x"}):
        with pytest.raises(
            UserError, match=r"layers: \w cannot take \w; the network has a 3x3x3.* the source has x 3x3x3"
        ):
            match({"a": (3, 3, 3)}, twins, layers)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"x": (3, 3, 3), "y": (3, 3, 3)}, "layer a with patches 3x3x3 could take x or y"),
        (
            {"x": (27, 1, 1)},
            r"layer a with patches 3x3x3 has no counterpart \(resize lets shapes differ\); .* the source has x 27x1x1",
        ),
    ],
)
def test_ambiguous_or_missing_layers_are_refused_with_the_list(source, expected):
    with pytest.raises(UserError, match=expected):
        match({"a": (3, 3, 3)}, source)


@given(st.lists(st.sampled_from([(3, 3, 3), (8, 3, 3), (8, 1, 1)]), min_size=1), st.integers(0, 100))
def test_every_layer_takes_another_one_of_its_shape_where_there_is_one(shapes, seed):
    source = {str(number): shape for number, shape in enumerate(shapes)}
    shuffled = shuffle({f"of {name}": name for name in source}, source, dict.fromkeys(source, 1), seed)
    assert sorted(shuffled.values()) == sorted(source)
    for layer, other in shuffled.items():
        own = layer.removeprefix("of ")
        assert source[other] == source[own]
        assert (other == own) == (shapes.count(source[own]) == 1)


def test_a_layer_that_is_alone_is_logged(caplog):
    with caplog.at_level(logging.INFO, "ansatz"):
        assert shuffle({"a": "x", "b": "x"}, {"x": (3, 3, 3), "y": (4, 1, 1)}, {"x": 1, "y": 1}, 0) == {
            "a": "x",
            "b": "x",
        }
    assert "x keeps its own feature matrix: no other layer has patches of 3x3x3" in caplog.text


def test_layers_that_share_a_matrix_take_one_that_neither_has():
    both = {"x": (3, 3, 3), "y": (3, 3, 3)}
    assert shuffle({"a": "x", "b": "x"}, both, {"x": 1, "y": 1}, 0) == {"a": "y", "b": "y"}
    assert shuffle({"a": "x", "b": "x"}, both, {"x": 1, "y": 2}, 0) == {"a": "x", "b": "x"}, "of other heads"


def test_the_seed_determines_the_shuffle():
    source = {str(number): (3, 3, 3) for number in range(6)}
    shuffles = [
        shuffle(dict(zip(source, source, strict=True)), source, dict.fromkeys(source, 1), seed) for seed in (0, 0, 1)
    ]
    assert shuffles[0] == shuffles[1] != shuffles[2]
