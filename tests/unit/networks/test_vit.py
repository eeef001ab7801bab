"""Vision transformers: torchvision's weights and outputs, and the layers of a study."""

import pytest
import torch
from torchvision import models
from torchvision.models.vision_transformer import VisionTransformer

from ansatz.errors import UserError
from ansatz.networks.build import build, layer_names, patch_shapes
from ansatz.networks.evaluation import forward
from ansatz.networks.maps import studied_maps
from ansatz.networks.weights import load_weights, save_weights

BLOCK = ["self_attention.q", "self_attention.k", "self_attention.v", "self_attention.out_proj", "mlp.0", "mlp.3"]


@pytest.mark.parametrize(("side", "patch", "channels"), [(28, 7, 3), (32, 4, 3), (64, 16, 3), (28, 4, 1)])
def test_torchvisions_weights_give_torchvisions_outputs(tmp_path, side, patch, channels):
    sizes = {"num_heads": 3, "hidden_dim": 24, "mlp_dim": 96}
    theirs = VisionTransformer(image_size=side, patch_size=patch, num_layers=2, num_classes=5, **sizes).eval()
    if channels == 1:
        theirs.conv_proj = torch.nn.Conv2d(1, 24, patch, stride=patch)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    save_weights(theirs, tmp_path / "vit.pt")
    options = {"depth": 2, "heads": 3, "patch_size": patch, "image_size": side, "width": 1 / 8}
    ours = build("vit", 5, seed=0, in_channels=channels, **options).eval()
    load_weights(ours, tmp_path / "vit.pt")
    x = torch.randn(3, channels, side, side)
    torch.testing.assert_close(forward(ours, x), theirs(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "patch", "heads", "depth"), [("vit_b_16", 16, 12, 12), ("vit_l_32", 32, 16, 24)])
def test_options_make_torchvisions_networks(name, patch, heads, depth):
    with torch.device("meta"):
        theirs = models.get_model(name, num_classes=1000).state_dict()
        ours = build("vit", 1000, seed=0, patch_size=patch, heads=heads, depth=depth, image_size=224).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}


def test_the_mean_of_tokens_is_without_that_of_the_class():
    network = build("vit", 3, seed=0, depth=1, pooling="mean", image_size=8).eval()
    x = torch.randn(2, 3, 8, 8)
    tokens = network.encoder(torch.cat([network.class_token.expand(2, -1, -1), network._process_input(x)], 1))
    torch.testing.assert_close(network(x), network.heads(tokens[:, 1:].mean(1)))


def test_the_layers_of_a_transformer_are_all_but_the_head():
    blocks = [f"encoder.layers.encoder_layer_{number}.{name}" for number in range(2) for name in BLOCK]
    assert layer_names("vit", depth=2) == layer_names("vit", depth=2, heads=1) == ["conv_proj", *blocks]
    assert layer_names("mlp", depth=2, image_size=28) == ["hidden.0", "hidden.2"]
    assert patch_shapes("mlp", depth=2, image_size=8, width=0.01) == {"hidden.0": (192,), "hidden.2": (10,)}
    assert set(studied_maps(build("vit_b_32", 3, seed=0))) == {
        "conv_proj",
        *(f"encoder.layers.encoder_layer_{number}.{name}" for number in range(12) for name in BLOCK),
    }


def test_the_layers_of_a_study_can_be_chosen():
    assert layer_names("vgg11_small", layers=["features.0", "classifier.*"]) == ["features.0", "classifier.0"]
    assert layer_names("vit", depth=1, layers=["*.mlp.*"]) == [
        f"encoder.layers.encoder_layer_0.mlp.{number}" for number in (0, 3)
    ]
    with pytest.raises(UserError, match=r"^layers: 'mlp' fits none of conv_proj, "):
        layer_names("vit", depth=1, layers=["mlp"])


def test_patches_that_do_not_fill_the_image_are_refused():
    with pytest.raises(UserError, match=r"network\.patch_size: 5 px do not divide images of 32 px"):
        build("vit", 3, seed=0, patch_size=5)


def test_the_weights_of_the_layers_alone_are_loaded(tmp_path):
    source, network = (build("vit", 3, seed=seed, depth=1, image_size=8) for seed in (0, 1))
    state = {key: value for key, value in source.state_dict().items() if key.endswith("weight") and "ln" not in key}
    del state["heads.head.weight"]
    torch.save(state, tmp_path / "maps.pt")
    load_weights(network, tmp_path / "maps.pt", layers_alone=True)
    for layer, each in studied_maps(network).items():
        assert torch.equal(each.weight, studied_maps(source)[layer].weight)
    del state["encoder.layers.encoder_layer_0.self_attention.in_proj_weight"]
    torch.save(state, tmp_path / "maps.pt")
    with pytest.raises(UserError, match="in_proj_weight is missing, the network's is 576x192"):
        load_weights(network, tmp_path / "maps.pt", layers_alone=True)
