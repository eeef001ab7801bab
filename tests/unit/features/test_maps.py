"""AGOP and NFM of linear layers and of attention, by head, against their definition in float64."""

import math
from functools import partial
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from ansatz.errors import UserError
from ansatz.features.agop import agop
from ansatz.features.matrix import centred_nfm, nfm
from ansatz.networks.maps import CONVOLUTIONS, linear_maps, studied_maps

pytestmark = pytest.mark.usefixtures("one_thread")


# ------------------------------------------------------------------------------------------------- the definition
class Attention(nn.Module):
    """Attention head by head, as it is defined; what a head's query, key or value sees may be moved."""

    def __init__(self, given):
        super().__init__()
        self.given, self.moved, self.batch_first = [given], {}, True  # in a list, so that it is no submodule

    def weights(self, letter):
        (given,), position = self.given, "qkv".index(letter)
        if given.in_proj_weight is None:
            return getattr(given, f"{letter}_proj_weight")
        return given.in_proj_weight.chunk(3)[position]

    def forward(self, query, key, value, attn_mask=None, **_):
        given, heads = self.given[0], self.given[0].num_heads
        size, parts = given.embed_dim // heads, []
        for head in range(heads):
            rows, seen = slice(head * size, (head + 1) * size), []
            for position, (letter, x) in enumerate(zip("qkv", (query, key, value), strict=True)):
                x = x + self.moved[letter][head] if letter in self.moved else x  # (n, tokens, inputs)
                z = x @ self.weights(letter)[rows].mT
                if given.in_proj_bias is not None:
                    z = z + given.in_proj_bias.chunk(3)[position][rows]
                seen.append(z)
            scores = seen[0] @ seen[1].mT / math.sqrt(size)
            scores = scores if attn_mask is None else scores + attn_mask
            parts.append(scores.softmax(-1) @ seen[2])
        return given.out_proj(torch.cat(parts, -1)), None


def by_definition(network, x):
    """Return the AGOP of every linear layer and attention: gradients by its own input, moved where nothing else is."""
    network, found = network.train().requires_grad_(False), {}  # in which no layer is computed in one step
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.MultiheadAttention):
            plain, parent = Attention(module), network.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], plain)
            for letter in "qkv":
                shapes = []
                hook = plain.register_forward_pre_hook(lambda _, seen, s=shapes: s.extend(each.shape for each in seen))
                network(x)
                hook.remove()
                shape = (module.num_heads, *shapes["qkv".index(letter)])

                def logits(moved, letter=letter, plain=plain):
                    plain.moved = {letter: moved}
                    return network(x)

                found[f"{name}.{letter}"] = moments(logits, torch.zeros(shape, dtype=x.dtype), len(x))
                plain.moved = {}
            setattr(parent, name.rpartition(".")[2], module)
        elif isinstance(module, nn.Linear) and not name.endswith("out_proj"):
            shapes = []
            hook = module.register_forward_hook(lambda _, seen, __, s=shapes: s.append(seen[0].shape))
            network(x)
            hook.remove()
            if not shapes:
                continue  # whose weight the network uses itself

            def logits(moved, module=module):
                hook = module.register_forward_hook(lambda own, _, z: z + moved[0] @ own.weight.mT)
                try:
                    return network(x)
                finally:
                    hook.remove()

            found[name] = moments(logits, torch.zeros(1, *shapes[0], dtype=x.dtype), len(x))
    return found


def moments(logits, moved, n):
    """Return the mean over images of the outer products of gradients: by group, summed over tokens and logits."""
    jacobian = torch.func.jacrev(logits)(moved)  # (n, classes, groups, n, tokens, inputs)
    own = jacobian.flatten(2 + moved.dim() - 1).reshape(*jacobian.shape[:2], len(moved), -1, moved.shape[-1])
    return torch.einsum("icgtd,icgte->gde", own, own) / n  # an image's logits depend on no other image


class Encoder(nn.Module):
    """A small transformer of images: patches, a class token or the mean, a head."""

    def __init__(self, *, heads=2, size=2, depth=1, pooled="mean", causal=False, **options):
        super().__init__()
        torch.manual_seed(0)
        channels = heads * size
        self.embedding = nn.Linear(4, channels)
        self.token = nn.Parameter(torch.randn(1, 1, channels)) if pooled == "token" else None
        layer = nn.TransformerEncoderLayer(channels, heads, 2 * channels + 1, 0.0, batch_first=True, **options)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        for parameter in self.encoder.parameters():
            nn.init.normal_(parameter, std=0.5)  # copies would be equal, and biases zero
        self.head, self.causal = nn.Linear(channels, 3), causal

    def forward(self, x):
        tokens = self.embedding(x.unflatten(-1, (-1, 4)))  # (n, tokens, channels)
        if self.token is not None:
            tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1)
        count = tokens.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(count).to(tokens) if self.causal else None
        tokens = self.encoder(tokens, mask=mask)
        return self.head(tokens[:, 0] if self.token is not None else tokens.mean(1))


def dense(network, x, layers=None, **arguments):
    return {layer: matrix.dense() for layer, matrix in agop(network, [x], layers=layers, **arguments).items()}


def assert_same(actual, expected):
    assert {layer for layer in actual if not layer.endswith("out_proj")} == set(expected)
    for layer, matrix in expected.items():
        scale = float(matrix.abs().max()) + 1e-12  # of zeros, which a norm over one channel makes
        torch.testing.assert_close(actual[layer], matrix, rtol=1e-9, atol=1e-9 * scale)


@settings(max_examples=25)
@given(
    st.fixed_dictionaries(
        {
            "heads": st.integers(1, 3),
            "size": st.integers(1, 3),
            "depth": st.integers(1, 2),
            "pooled": st.sampled_from(["mean", "token"]),
            "causal": st.booleans(),
            "norm_first": st.booleans(),
            "bias": st.booleans(),
            "activation": st.sampled_from(["relu", "gelu"]),
        }
    ),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_agop_of_transformers_is_what_the_definition_says(options, n, tokens):
    network, x = Encoder(**options).double(), torch.randn(n, 4 * tokens, dtype=torch.float64)
    assert_same(dense(network, x), by_definition(network, x))


def test_agop_of_fully_connected_networks_is_what_the_definition_says():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4, bias=False), nn.GELU(), nn.Linear(4, 3)
    ).double()
    x = torch.randn(7, 6, dtype=torch.float64)
    assert_same(dense(network, x), by_definition(network, x))


class Across(nn.Module):
    """Attention to something else, of other widths."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.attention = nn.MultiheadAttention(4, 2, kdim=3, vdim=5, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        query, key, value = x.split([8, 9, 15], 1)
        tokens, _ = self.attention(*(each.unflatten(1, (-1, d)) for each, d in ((query, 4), (key, 3), (value, 5))))
        return self.head(tokens.mean(1))


class Same(Across):
    """Keys and values of the same tokens, and queries of others, so that its weight is used in two parts."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        query, memory = (each.unflatten(1, (-1, 4)) for each in x.split([8, 24], 1))
        return self.head(self.attention(query, memory, memory)[0].mean(1))


@pytest.mark.parametrize("make", [Across, Same])
def test_attention_to_other_tokens(make):
    network, x = make().double(), torch.randn(3, 32, dtype=torch.float64)
    assert_same(dense(network, x), by_definition(network, x))


def test_attention_of_linear_layers_and_a_function():
    class Causal(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.q, self.k, self.v, self.head = (nn.Linear(4, 4) for _ in range(4))

        def forward(self, x):
            x = x.unflatten(1, (-1, 4))
            q, k, v = (part(x).unflatten(-1, (2, 2)).transpose(1, 2) for part in (self.q, self.k, self.v))
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)  # (n, heads, tokens, 2)
            return functional.linear(mixed.transpose(1, 2).flatten(2)[:, -1], self.head.weight, self.head.bias)

    network, x = Causal().double(), torch.randn(3, 12, dtype=torch.float64)
    actual = dense(network, x)
    assert actual.pop("head").count_nonzero()
    assert_same(actual, by_definition(network, x))


def test_a_layer_that_evaluation_computes_in_one_step_is_followed():
    """As PyTorch does where no gradients are wanted."""
    network, x = Encoder().eval(), torch.randn(2, 12)
    with patch.object(torch, "_transformer_encoder_layer_fwd", wraps=torch._transformer_encoder_layer_fwd) as at_once:
        with torch.no_grad():
            network(x)
        assert at_once.called
        at_once.reset_mock()
        assert all(matrix.count_nonzero() for matrix in dense(network, x).values())
        assert not at_once.called
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_compiled_layer_is_followed():
    network, x = Encoder().double(), torch.randn(2, 12, dtype=torch.float64)
    expected = dense(network, x)
    network.encoder.layers[0] = torch.compile(network.encoder.layers[0])
    actual = {layer.replace("_orig_mod.", ""): matrix for layer, matrix in dense(network, x).items()}
    torch.testing.assert_close(actual, expected)


def test_convolutions_in_one_and_three_dimensions_are_those_in_two():
    torch.manual_seed(0)
    x = torch.randn(3, 2, 9, dtype=torch.float64)
    line = nn.Sequential(nn.Conv1d(2, 4, 3, groups=2), nn.Tanh(), nn.Flatten(), nn.Linear(28, 3)).double()
    flat = nn.Sequential(nn.Conv2d(2, 4, (1, 3), groups=2), *line[1:]).double()
    solid = nn.Sequential(nn.Conv3d(2, 4, (1, 1, 3), groups=2), *line[1:]).double()
    for other in (flat, solid):
        other[0].weight.data, other[0].bias.data = line[0].weight.data.reshape(other[0].weight.shape), line[0].bias.data
    images = {line: x, flat: x.unsqueeze(2), solid: x.unsqueeze(2).unsqueeze(2)}
    found = [dense(network, each) for network, each in images.items()]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])
    assert [nfm(network, None)["0"].shape for network in images] == [(1, 3), (1, 1, 3), (1, 1, 1, 3)]


def test_the_nfm_of_attention_is_that_of_each_head():
    network = Encoder(heads=2, size=3)
    weight = network.encoder.layers[0].self_attn.in_proj_weight
    matrices = nfm(network, None)
    for position, letter in enumerate("qkv"):
        matrix = matrices[f"encoder.layers.0.self_attn.{letter}"]
        for head in range(2):
            own = weight[6 * position + 3 * head :][:3]
            torch.testing.assert_close(matrix.dense()[head], own.mT @ own)
    other = Encoder(heads=2, size=3)
    assert all(not matrix.factor.count_nonzero() for matrix in centred_nfm(network, other, None).values())


def test_positions_are_added_up_or_averaged_over():
    network, x = Encoder(pooled="token").double(), torch.randn(2, 12, dtype=torch.float64)
    whole, mean = dense(network, x), dense(network, x, positions="mean")
    counts = {"embedding": 3, "head": 1}
    for layer, matrix in whole.items():
        torch.testing.assert_close(mean[layer] * counts.get(layer, 4), matrix)
    with pytest.raises(UserError, match="AGOP: positions 'tokens' is none of sum, mean"):
        agop(network, [x], positions="tokens")


def test_maps_are_chosen_by_type_or_name():
    network = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(8, 4), Encoder())
    assert list(linear_maps(network, CONVOLUTIONS)) == ["0"]
    assert list(linear_maps(network, ["*.[qk]", "2"])) == ["2", *(f"3.encoder.layers.0.self_attn.{x}" for x in "qk")]
    assert list(linear_maps(network, "3.head")) == ["3.head"]
    assert len(linear_maps(network)) == 2 + 1 + 3 + 3 + 1
    assert len(linear_maps(network, [nn.MultiheadAttention])) == 3
    assert list(nfm(network[:3])) == list(agop(network[:3], [torch.randn(1, 1, 3, 3)])) == ["0", "2"], "by default"
    assert list(linear_maps(network, nn.Conv2d)) == ["0"]
    for selection, line in [
        (["*.w"], r"'\*\.w' fits none of 0, 2, 3\.embedding, "),
        ([nn.Conv3d], r"Conv3d fits none of 0, 2, "),
        ([3], r"3 is neither a type of modules nor a pattern of names$"),
        ([], r"\[\] selects nothing; give types of modules or patterns of names$"),
        (7, r"7 selects nothing; "),
    ]:
        with pytest.raises(UserError, match=f"^layers: {line}"):
            linear_maps(network, selection)
    alone = linear_maps(nn.MultiheadAttention(4, 2))
    assert list(alone) == ["q", "k", "v", "out_proj"]


def test_fewer_maps_have_the_same_agop():
    network, x = Encoder(depth=2).double(), torch.randn(2, 12, dtype=torch.float64)
    whole = dense(network, x)
    for layers in (["embedding"], ["*.self_attn.v"], [nn.Linear]):
        for layer, matrix in dense(network, x, layers=layers).items():
            torch.testing.assert_close(matrix, whole[layer], rtol=1e-9, atol=1e-12)


def test_maps_with_many_more_rows_than_inputs_have_factors_as_large_as_their_inputs(monkeypatch):
    network, x = Encoder().double(), torch.randn(3, 12, dtype=torch.float64)
    whole = agop(network, [x], layers=None, probes=6)
    monkeypatch.setattr("ansatz.features.agop.LARGE", 1)
    for layer, matrix in agop(network, [x], layers=None, probes=6).items():
        torch.testing.assert_close(matrix.dense(), whole[layer].dense(), rtol=1e-9, atol=1e-12)
        assert matrix.standard_error == pytest.approx(whole[layer].standard_error)
        assert matrix.factor.shape[1] <= matrix.factor.shape[2]


def test_a_map_at_which_no_gradient_arrives_is_named(caplog):
    network, x = Encoder().double(), torch.randn(2, 12, dtype=torch.float64)
    network.unused = nn.Linear(2, 2).double()
    assert not agop(network, [x], layers=None)["unused"].factor.count_nonzero()
    assert "no gradient arrives at unused" in caplog.text


class Patches(nn.Module):
    """A convolution into patches, and an attention of linear layers."""

    def __init__(self):
        super().__init__()
        self.patches, self.qkv, self.projection, self.head = (
            nn.Conv2d(3, 4, 4, 4),
            *map(nn.Linear, (4, 4, 4), (12, 4, 2)),
        )


def test_what_is_studied_are_convolutions_or_all_maps_but_the_head():
    conv, linear = partial(nn.Conv2d, 3, 3, 1), partial(nn.Linear, 3, 3)
    for modules, expected in [
        ([conv(), conv(), linear(), linear()], ["0", "1"]),
        ([conv(), linear()], ["0"]),
        ([conv(), linear(), linear()], ["0", "1"]),
        ([linear(), linear(), linear()], ["0", "1"]),
        ([conv(), conv(), nn.MultiheadAttention(2, 1), linear()], ["0", "1", "2.q", "2.k", "2.v", "2.out_proj"]),
        ([conv()], ["0"]),
    ]:
        assert list(studied_maps(nn.Sequential(*modules))) == expected
    network = Patches()
    assert list(studied_maps(network)) == ["patches", "qkv", "projection"]
    network.studied = ["qkv", nn.Conv2d]
    assert list(studied_maps(network)) == ["patches", "qkv"]
    for wrong, line in ((3, "3 selects nothing"), (["blocks"], "'blocks' fits none of patches, ")):
        network.studied = wrong
        with pytest.raises(UserError, match=f"^network: studied: {line}"):
            studied_maps(network)


def test_gradients_that_are_all_zero_are_told(caplog):
    network = Encoder().double()
    nn.init.zeros_(network.head.weight)
    matrices = agop(network, [torch.randn(2, 12, dtype=torch.float64)])
    assert not matrices["embedding"].factor.any()
    assert "all gradients are zero at embedding, encoder.layers.0.self_attn.q, " in caplog.text
    assert "no gradient arrives" not in caplog.text


def test_layers_without_values_have_no_nfm():
    with pytest.raises(UserError, match=r"^NFM: 1 has no values yet; run the network on one batch"):
        nfm(nn.Sequential(nn.Linear(2, 2), nn.LazyLinear(2)))


def test_grouped_maps_with_more_rows_than_inputs_have_the_same_agop(monkeypatch):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 16, 1, groups=4), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)).double()
    x = torch.randn(3, 4, 2, 2, dtype=torch.float64)
    whole = agop(network, [x], probes=6)["0"]
    monkeypatch.setattr("ansatz.features.agop.LARGE", 1)
    projected = agop(network, [x], probes=6)["0"]
    assert (whole.factor.shape, projected.factor.shape) == ((4, 4, 1), (4, 1, 1))
    torch.testing.assert_close(projected.dense(), whole.dense(), rtol=1e-9, atol=1e-12)
    assert projected.standard_error == pytest.approx(whole.standard_error)
