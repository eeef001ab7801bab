"""Vision transformers and fully connected networks through all sections, in small."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ansatz.networks.build import build
from ansatz.networks.maps import studied_maps
from clone import shared_clone

VIT = {"name": "vit", "width": 0.0625, "depth": 2, "heads": 2, "in_channels": 1, "image_size": 8}
TRAINING = {"optimizer": "adamw", "learning_rate": 0.01, "gradient_clipping": 1, "epochs": 1, "batch_size": 16}
INITIALIZERS = ["trunc_normal", "mimetic", "nfm_joint", "nfm+lsuv", "weights"]
STUDY = {
    "name": "test",
    "datasets": {"digits": {"limit": 60}},
    "sources": {"digits": {"train": {"dataset": "digits", "network": VIT, "training": TRAINING}}},
    "initialization": {
        "initializers": INITIALIZERS,
        "seeds": [0],
        "network": VIT,
        "training": TRAINING,
        "split": "shared",
        "source_seed": "shared",
    },
    "ansatz": {
        "trained": {
            "vit": {"datasets": ["digits"], "network": VIT, "training": TRAINING},
            "mlp": {
                "datasets": ["digits"],
                "network": {"name": "mlp", "width": 0.01, "depth": 2, "in_channels": 1, "image_size": 8},
                "training": TRAINING,
            },
        }
    },
    "evolution": {"vit": {"datasets": ["digits"], "network": VIT, "training": TRAINING}},
    "feature_matrices": {"sample_size": 8},
    "pictures": [0],
    "device": "cpu",
}
LAYERS = list(studied_maps(build(**VIT, classes=2, seed=0)))


@pytest.fixture(scope="module")
def done(shared):
    def run(clone):
        clone.write(STUDY)
        files = [f"initialization/{file}" for file in ("runs.csv", "activations.csv", "figures/activations.png")]
        files += ["sources/spectra.csv", "sources/digits/matching.md"]
        clone.snakemake("ansatz", "evolution", *(f"results/test/{file}" for file in files))

    return shared_clone(shared / "transformers", run)


def test_every_layer_and_every_head_has_a_row(done):
    tidy = pd.read_csv(done.results / "ansatz/tidy.csv")
    vit, mlp = (tidy[tidy.experiment == name] for name in ("vit", "mlp"))
    assert vit[vit["head"].isna()].layer.tolist() == LAYERS
    assert mlp.layer.tolist() == ["hidden.0", "hidden.2"]
    heads = vit[vit["head"].notna()]
    assert heads.groupby("layer", sort=False)["head"].agg(list).to_dict() == {
        layer: [1, 2] for layer in LAYERS if layer.endswith((".q", ".k", ".v"))
    }
    measured = tidy[["correlation_nfm_agop", "correlation_nfm_root_nfm", "correlation_nfm_fact", "power_0.5"]]
    assert measured.notna().all().all()
    assert tidy.correlation_centred_nfm_agop.notna().all(), "its initial weights are known"
    shuffled = vit[vit["head"].isna()].set_index("layer").correlation_nfm_shuffled_agop
    assert shuffled.dropna().index.tolist() == [layer for layer in LAYERS if layer.endswith((".q", ".k", ".v"))]
    text = (done.results / "ansatz/table.md").read_text()
    assert "| self_attention.q" in text.partition("By kind of layer")[2]


def test_figures_are_there(done):
    for figure in ("layers", "variants", "powers", "heads"):
        assert Image.open(done.results / f"ansatz/{figure}.png").width > 200
    for figure in ("curves", "correlation", "nfm", "filters", "outputs"):
        assert Image.open(done.results / f"evolution/vit/digits/seed0/{figure}.png").width > 200
    with h5py.File(done.results / "evolution/vit/digits/seed0/evolution.h5") as file:
        assert list(file["layers"]) == LAYERS
        assert file["layers/conv_proj/outputs"].shape == (2, 8, 2, 2)
        query = file["layers/encoder.layers.encoder_layer_1.self_attention.q"]
        assert query["outputs"].shape == (2, 8, 2, 2), "of the tokens of patches"
        assert query["agop"].shape == (2, 2, 4, 8), "by head"


def test_every_initializer_trains_a_transformer(done):
    runs = pd.read_csv(done.results / "initialization/runs.csv")
    assert runs.initializer.tolist() == INITIALIZERS
    assert runs.status.eq("finished").all()
    activations = pd.read_csv(done.results / "initialization/activations.csv")
    assert activations.groupby("initializer", sort=False).layer.agg(list).to_dict() == dict.fromkeys(
        INITIALIZERS, LAYERS
    )
    assert np.allclose(activations[activations.initializer == "nfm+lsuv"]["std"], 1, atol=1e-2)
    matching = (done.results / "sources/digits/matching.md").read_text()
    assert matching.count("self_attention.q") == 4


def test_linear_maps_alone_are_a_source(done, tmp_path):
    """A file with the weights of a transformer's layers and nothing else: their NFM is drawn from, without images."""
    clone = done.copy(tmp_path / "clone")
    whole = build(**VIT, classes=4, seed=5)
    studied = {id(each.source) for each in studied_maps(whole).values()}
    own = {name: parameter.detach() for name, parameter in whole.named_parameters() if id(parameter) in studied}
    torch.save(own, clone.path / "own.pt")
    source = {"path": "own.pt", "network": VIT}
    clone.write(STUDY | {"name": "alone", "sources": {"own": {"checkpoint": source}}})
    clone.snakemake("results/alone/initialization/runs/digits/nfm_joint/seed0/metrics.csv")
    with h5py.File(clone.path / "results/alone/sources/own/features.h5") as file:
        assert list(file) == ["nfm"]
        packed = own["encoder.layers.encoder_layer_0.self_attention.in_proj_weight"]
        assert np.array_equal(
            file["nfm/encoder.layers.encoder_layer_0.self_attention.k/factor"], packed[8:16].view(2, 4, 8)
        )


def test_layers_of_ones_own_choice_are_looked_at(done, tmp_path):
    clone = done.copy(tmp_path / "clone")
    network = VIT | {"layers": ["*.mlp.*", "conv_proj"]}
    trained = {"vit": {"datasets": ["digits"], "network": network, "training": TRAINING}}
    clone.write(
        {key: STUDY[key] for key in ("datasets", "feature_matrices", "device")}
        | {"name": "own", "ansatz": {"trained": trained}}
    )
    clone.snakemake("results/own/ansatz/tidy.csv")
    tidy = pd.read_csv(clone.path / "results/own/ansatz/tidy.csv")
    assert tidy.layer.tolist() == [layer for layer in LAYERS if "mlp" in layer or layer == "conv_proj"]
