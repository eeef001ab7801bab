"""Checks of parameters against their annotations: what fits, and what the message says."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, MinLen

from ansatz.errors import UserError
from ansatz.machines.parameters import check_parameters

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("type_", "right", "wrong", "allowed"),
    [
        (int, [0, -3, np.int64(2)], [1.0, True, "1", None], "a whole number"),
        (float, [0, 1.5, np.float32(2)], [INF, NAN, True, "1", None], "a number"),
        (bool, [True, False], [1, None, "yes"], "a boolean"),
        (Annotated[int, Interval(ge=1, le=20)], [1, 20], [0, 21, 1.5], "a whole number of at least 1 and at most 20"),
        (Annotated[float, Interval(ge=0, lt=1)], [0, 0.99], [-0.1, 1.0], "a number of at least 0 and below 1"),
        (Annotated[float, Gt(0)], [1e-9], [0, 0.0, -1, NAN], "a number above 0"),
        (Annotated[int, Ge(1)] | None, [1, None], [0, "1"], "a whole number of at least 1 or None"),
        (Literal["auto", True, False], ["auto", True], ["never", 1, None], "auto or True or False"),
        (Literal["relu"] | None, ["relu", None], ["tanh"], "relu or None"),
        (Sequence[int], [[], (1, 2), np.array([3])], [1, "12", [0.5], [[1]]], "a list of whole numbers"),
        (
            Annotated[Sequence[Annotated[float, Ge(0)]], MinLen(1)],
            [(0, 1e-3), [1]],
            [(), 1e-3, (-1,), (INF,), ("small",)],
            "a list of numbers of at least 0 with at least 1 item",
        ),
        (Mapping[str, Any] | None, [{}, None], [[], "a"], "a mapping of names to values or None"),
    ],
)
def test_values_of_a_type_are_accepted_and_others_refused_in_one_line(type_, right, wrong, allowed):
    for value in right:
        check_parameters({"option": value}, {"option": type_})
    for value in wrong:
        with pytest.raises(UserError) as caught:
            check_parameters({"option": value}, {"option": type_})
        assert str(caught.value) == f"option: {value!r} is not allowed; use {allowed}"


def test_values_of_any_other_type_are_not_checked():
    check_parameters({"state": object(), "anything": 3}, {"state": np.random.RandomState, "anything": Any})
