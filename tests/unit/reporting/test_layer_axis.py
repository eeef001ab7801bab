"""The axis of layers: numbers, or the kinds of layers that blocks repeat."""

import pytest
from matplotlib.figure import Figure

from ansatz.reporting.figures.layer_axis import LayerAxis

BLOCK = "encoder.layers.encoder_layer_{}.{}"
TRANSFORMER = [
    "conv_proj",
    *(BLOCK.format(block, kind) for block in range(3) for kind in ("self_attention.q", "mlp.0")),
]
RESNET = ["conv1", "layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "layer2.0.downsample.0", "layer2.1.conv1"]


@pytest.mark.parametrize("layers", [["features.0", "features.3", "features.10"], RESNET, ["hidden.0"]])
def test_layers_are_numbered_from_the_first_to_the_last(layers):
    axis = LayerAxis(layers)
    assert axis.place == {layer: number for number, layer in enumerate(layers, 1)}
    assert len(axis.groups) == 1


def test_layers_that_blocks_repeat_stand_beside_each_other():
    axis = LayerAxis(TRANSFORMER)
    assert {kind: list(places.values()) for kind, places in axis.groups.items()} == {
        "conv_proj": [1],
        "q": [3, 4, 5],
        "mlp.0": [7, 8, 9],
    }
    assert list(axis.groups["q"]) == [BLOCK.format(block, "self_attention.q") for block in range(3)]
    axes = Figure().subplots()
    axis.label(axes)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["conv_proj", "q", "mlp.0"]
    assert list(axes.get_xticks()) == [1, 4, 8]
