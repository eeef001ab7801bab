"""Styles: one for each name, and no two alike."""

import pytest

from ansatz import registry
from ansatz.reporting.figures.palette import CHARCOAL, CHOSEN, GREY, SILVER, styles

MINE = [f"mine_{number}" for number in range(12)]


@pytest.mark.parametrize("kind", ["initializer", "machine"])
def test_everything_registered_has_a_style_of_its_own_and_so_has_what_a_user_adds(kind):
    names = [*registry.definitions(kind), *MINE]
    by_name = styles(names)
    assert list(by_name) == names
    assert len({(style.colour, style.linestyle) for style in by_name.values()}) == len(names)


def test_machines_are_grey_if_and_only_if_they_learn_no_features():
    definitions = registry.definitions("machine")
    plain = {name for name, definition in definitions.items() if not definition.declared.get("learns_features")}
    plain |= set(MINE[:4])
    by_name = styles([*definitions, *MINE], grey=plain)
    assert {name for name, style in by_name.items() if style.colour in (GREY, SILVER, CHARCOAL)} == plain


def test_a_style_does_not_depend_on_what_else_is_drawn():
    every = styles([*registry.definitions("initializer"), *MINE])
    assert {name: styles([name])[name] for name in CHOSEN} == CHOSEN
    same = [name for name in MINE if styles([name, "nfm"])[name] == every[name]]
    assert len(same) > len(MINE) / 2  # the others would look like another one
    assert styles(reversed(MINE)) == styles(MINE)


def test_styles_are_chosen_by_hand_only_for_what_is_registered():
    assert set(CHOSEN) <= {*registry.definitions("initializer"), *registry.definitions("machine")}


def test_what_is_scaled_has_the_colour_of_what_it_scales_and_another_line():
    plain = list(registry.definitions("initializer"))
    by_name = styles([f"{name}+lsuv" for name in plain])
    for name in plain:
        scaled = by_name[f"{name}+lsuv"]
        assert scaled.colour == CHOSEN[name].colour
        assert scaled.linestyle != CHOSEN[name].linestyle
        assert styles([name, f"{name}+lsuv"])[f"{name}+lsuv"].line != CHOSEN[name].line
