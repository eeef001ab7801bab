"""Checkpoints: whole or not at all, and of nothing else than the training that they belong to."""

import time

import pytest
import torch

from ansatz.training.checkpoint import SHARE, SPEED, Checkpoint
from made_images import made_network


class Killed(BaseException):
    pass


def test_a_kill_while_the_checkpoint_is_written_leaves_the_previous_one(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "key")
    checkpoint.save({"epoch": 1})
    save = torch.save
    monkeypatch.setattr(torch, "save", lambda state, path: (save({}, path), (_ for _ in ()).throw(Killed))[1])
    with pytest.raises(Killed):
        checkpoint.save({"epoch": 2})
    assert checkpoint.load()["epoch"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize(("step", "cost"), [(0.5, 3.0), (20.0, 20.0), (7.0, 0.1)])
def test_saving_takes_at_most_its_share_of_the_time(tmp_path, monkeypatch, step, cost):
    """Simulate a training that saves after each of 2,000 steps if that is due; times in seconds."""
    now, saves = 0.0, 0
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    def save(_state, path):
        nonlocal now, saves
        now, saves = now + cost, saves + 1
        path.touch()

    monkeypatch.setattr(torch, "save", save)
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "key")
    checkpoint.expect(int(cost * SPEED))
    for _ in range(2000):
        now += step
        if checkpoint.due:
            checkpoint.save({})
        assert saves * cost <= SHARE * now
    assert saves > 0.8 * min(2000, SHARE * now / cost), "but not more seldom than it must"


def test_what_a_kill_left_of_a_save_is_removed_in_the_end(tmp_path):
    (tmp_path / ".checkpoint.pt.partial").touch()
    Checkpoint(tmp_path / "checkpoint.pt", "key").clear()
    assert not list(tmp_path.iterdir())


def test_a_foreign_or_broken_checkpoint_is_not_resumed_and_the_log_says_so(tmp_path, caplog):
    path = tmp_path / "checkpoint.pt"
    Checkpoint(path, "one").save({"epoch": 1})
    with caplog.at_level("INFO"):
        assert Checkpoint(path, "two").load() is None
        path.write_bytes(path.read_bytes()[:100])
        assert Checkpoint(path, "one").load() is None
        Checkpoint(path, "one").save({"weights": torch.arange(1000.0)})
        flipped = bytearray(path.read_bytes())
        flipped[len(flipped) // 2] ^= 1  # in the tensor, which torch.load does not verify
        path.write_bytes(flipped)
        assert Checkpoint(path, "one").load() is None
        for content in ([1], {"a": 1}):
            torch.save(content, path)
            assert Checkpoint(path, "one").load() is None
    assert "of other parameters" in caplog.messages[0]
    assert all("cannot be read" in message for message in caplog.messages[1:])


def test_a_checkpoint_is_keyed_by_all_that_a_training_depends_on(tmp_path):
    code = tmp_path / "code.py"
    code.write_text("a")
    base = Checkpoint.of("x", made_network(), {"lr": 1}, code=[code]).key
    assert base == Checkpoint.of("x", made_network(), {"lr": 1}, code=[code]).key
    other = made_network()
    with torch.no_grad():
        other[0].weight[0] += 1
    code_b = tmp_path / "b.py"
    code_b.write_text("b")
    keys = {
        Checkpoint.of("x", made_network(), {"lr": 2}, code=[code]).key,
        Checkpoint.of("x", other, {"lr": 1}, code=[code]).key,
        Checkpoint.of("x", made_network(), {"lr": 1}, code=[code_b]).key,
        Checkpoint.of("x", made_network(), {"lr": 1}, "another dataset", code=[code]).key,
    }
    assert len(keys | {base}) == 5
