"""The memory of a whole process: that of its state, and no more than it may take besides."""

import sys

import pytest

import interpreter
from ansatz.memory import PIXEL

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB there, and malloc is glibc's")


@pytest.mark.parametrize(
    ("precision", "size", "count", "epochs"),
    [("float32", 32, 172, 2), ("bfloat16", 32, 16, 6), ("float32", 224, 24, 2)],
)
def test_a_training_takes_the_memory_of_its_state_and_what_it_may_besides(precision, size, count, epochs):
    """State is the parameters, their gradients and momenta, and the best weights; nothing grows with the epochs.

    Besides, a batch takes what `PIXEL` says for networks of full width; this one has a quarter of that.
    """
    interpreter.run(
        f"""
        import resource, sys
        import numpy as np
        from ansatz.data.batches import on_device
        from ansatz.devices import take_device
        from ansatz.files.dataset import Dataset, Part
        from ansatz.networks.build import build
        from ansatz.training.config import TrainingConfig
        from ansatz.training.trainer import Trainer
        peak = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        device = take_device("cpu", 1)
        build("vgg11", 2, seed=0, width=0.01)  # imports all that it takes
        imports, memory = peak(), 50_000_000
        network = build("vgg11", 2, seed=0, width=0.25)
        part = Part(np.zeros(({count}, 1, 8, 8), np.uint8), np.arange({count}) % 2)
        data = Dataset("made", ("a", "b"), np.zeros(1), np.ones(1), {{"train": part, "validation": part}}, "")
        images = on_device(data, size={size}, channels=3, device=device, memory=memory)
        config = TrainingConfig(epochs={epochs}, batch_size=2, precision="{precision}")
        Trainer(network, images, config, seed=0).train()
        state = 4 * sum(parameter.nbytes for parameter in network.parameters())
        excess = peak() - imports - state - 2 * memory - {PIXEL // 4 * 2 * size**2}
        sys.exit(f"{{excess / 1e6}} MB too much" if excess > 0 else None)
        """
    )


@pytest.mark.parametrize("size", [32, 224])
def test_an_extraction_takes_the_memory_of_its_state_and_what_it_may_besides(size):
    """State is the parameters, filters in another layout and the matrices' factors."""
    interpreter.run(
        f"""
        import resource, sys, torch
        from ansatz.devices import take_device
        from ansatz.features.agop import agop, batch_size
        from ansatz.networks.build import build
        peak = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        take_device("cpu", 1)
        network, memory = build("vgg11", 2, seed=0, width=0.25), 200_000_000
        agop(network, [torch.randn(1, 3, 32, 32)])  # imports all that it takes
        before, n = peak(), batch_size(network, torch.randn(1, 3, {size}, {size}), memory)
        agop(network, (torch.randn(n, 3, {size}, {size}) for _ in range(2)))
        excess = peak() - before - 2 * memory
        sys.exit(f"{{excess / 1e6}} MB too much in batches of {{n}}" if excess > 0 else None)
        """
    )


def test_freed_memory_is_kept_for_the_next_batch():
    """Freed memory causes no page faults when it is allocated again: count those of batches of 8 blocks of 16 MiB."""
    printed = interpreter.run(
        """
        import resource, torch
        from ansatz.devices import take_device
        faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for keep in (False, True):
            if keep:
                take_device("cpu", 1)
            counts = []
            for _ in range(6):
                before = faults()
                blocks = [torch.ones(2**22) for _ in range(8)]
                del blocks
                counts.append(faults() - before)
            print(sum(counts[2:]))
        """
    )
    returned, kept = map(int, printed.split())
    assert kept < returned / 10
