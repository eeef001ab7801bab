"""What is listed of the spectra of feature matrices."""

import numpy as np
import pytest

from ansatz.features.spectrum import EIGENVALUES, spectra
from ansatz.files.tables import SPECTRA
from drawn_networks import drawn_matrix


def test_a_row_for_each_eigenvalue_of_nfm_and_agop():
    nfm, agop = drawn_matrix(1, 3, 5, 0), drawn_matrix(1, 6, 5, 1)
    rows = list(spectra({"nfm": {"0": nfm}, "agop": {"0": agop}, "centred_nfm": {"0": nfm}}))
    assert all(tuple(row) == SPECTRA[1:] for row in rows)
    assert [(row["kind"], row["index"]) for row in rows] == [
        *(("nfm", i) for i in (1, 2, 3)),
        *(("agop", i) for i in (1, 2, 3, 4, 5)),
    ]
    expected = np.linalg.eigvalsh(nfm.dense()[0].numpy())[::-1][:3]
    assert [row["eigenvalue"] for row in rows[:3]] == pytest.approx(expected / expected.sum())
    assert rows[0]["effective_rank"] == pytest.approx(nfm.effective_rank().item())
    assert {row["shape"] for row in rows} == {"5x1x1"}


def test_groups_are_averaged_as_shares_of_their_traces():
    matrix = drawn_matrix(2, 3, 4, 0)
    matrix.factor[1] *= 100
    rows = list(spectra({"nfm": {"0": matrix}}))
    values = np.linalg.eigvalsh(matrix.dense().numpy())[:, :0:-1]  # (groups, 3)
    shares = values / values.sum(1, keepdims=True)
    assert [row["eigenvalue"] for row in rows] == pytest.approx(shares.mean(0))
    assert rows[0]["effective_rank"] == pytest.approx(matrix.effective_rank().mean().item())


def test_of_many_eigenvalues_a_few_are_listed_from_the_first_to_the_last():
    matrix = drawn_matrix(1, 400, 300, 0)
    rows = list(spectra({"nfm": {"0": matrix}}))
    indices = [row["index"] for row in rows]
    assert indices[:5] == [1, 2, 3, 4, 5]
    assert indices[-1] == 300
    assert len(indices) <= EIGENVALUES
    steps = np.diff(indices)
    assert (np.diff(steps) >= -1).all(), "further apart the larger they are, up to rounding"
    values = matrix.eigenvalues()[0]
    assert rows[-1]["eigenvalue"] == pytest.approx((values[-1] / values.sum()).item())
