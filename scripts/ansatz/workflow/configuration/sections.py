"""The four sections that say what is run, and what they share."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from ansatz.workflow.configuration.choices import Choice, Initializer
from ansatz.workflow.configuration.mistakes import at, joined, mistake, none_of, shown
from ansatz.workflow.configuration.networks import NetworkConfig
from ansatz.workflow.configuration.sources import NORMALISED, Checkpoint, OfWeights
from ansatz.workflow.configuration.training import TrainingSection
from ansatz.workflow.configuration.types import (
    DISTINCT,
    UNIQUE,
    Count,
    ImageSize,
    Index,
    Name,
    OneOf,
    Positive,
    Section,
    Seeds,
    Sparse,
    Text,
    Values,
    Weights,
)
from ansatz.workflow.protocols import ProtocolName

WITHOUT_SOURCE = [
    "normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "kaiming_uniform",
    "kaiming_normal",
    "orthogonal",
]  # what is compared by default
BASELINE = "kaiming_uniform"  # what the others are compared with by default

SeedOf = Literal["run", "shared"]


def initializers(*names: str) -> list[Choice]:
    """Return initializers without options."""
    return [Choice(kind="initializer", name=name) for name in names]


class FeatureMatrices(Section):
    """How feature matrices are estimated."""

    sample_size: Count = Field(256, description="Number of training images that AGOP is averaged over, at most.")
    probes: Count | None = Field(
        None,
        description="null computes AGOP exactly, with one backward pass per class; K estimates it from K random "
        "combinations of the logits.",
    )
    positions: Annotated[Literal["sum", "mean"], OneOf()] = Field(
        "sum", description="Whether the patches or tokens of an image are added up in AGOP or averaged over."
    )


class Figures(Section):
    """How figures are drawn."""

    style: Annotated[Literal["screen", "paper"], OneOf()] = Field(
        "screen",
        description="screen: PNG and SVG, as wide as the panels need. paper: PNG and PDF, 85 or 174 mm wide, which are "
        "the columns and pages of most journals. No text is smaller than 7 points.",
    )

    @property
    def vector(self) -> str:
        """The format that is written beside PNG."""
        return "pdf" if self.style == "paper" else "svg"


class Tuning(Section):
    """A learning rate for each dataset and initializer, chosen by trainings before the study."""

    learning_rates: Values[Positive] = Field(
        [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
        description="The learning rates that are tried. A best one at an end of the list is marked in the table; "
        "the list should be extended there.",
    )
    seeds: Seeds = Field(
        [1000, 1001],
        description="Seeds of these trainings, none of which is a seed of the study. The rate with the highest mean of "
        "the best validation accuracies is chosen.",
    )


class Initialization(Section):
    """The study: networks that differ only in their initialization."""

    datasets: Values[Text] | None = Field(None, description="The datasets to train on; null is all of `datasets`.")
    initializers: Values[Initializer] = Field(
        initializers(*WITHOUT_SOURCE), description="The initializers to compare; by default those without a source."
    )
    baseline: Text | None = Field(
        None,
        description="The initializer that the others are compared with, by its name in tables; null is kaiming_uniform "
        "if it is compared, otherwise the first.",
    )
    seeds: Seeds = Field([0, 1, 2], description="Seeds; every training is repeated with each of them.")
    network: NetworkConfig = Field(NetworkConfig(), description="The network to train.")
    training: TrainingSection = Field(TrainingSection(), description="How it is trained.")
    keep_weights: Annotated[Literal["best", "last", "none"], OneOf()] = Field(
        "none",
        description="Which weights of each run are kept, in `weights.pt`: of the epoch with the best validation "
        "accuracy, of the last, or none. A VGG11 takes 0.5 GB.",
    )
    tuning: Tuning | None = Field(
        None, description="A learning rate for each dataset and initializer; null is that of `training` for all."
    )
    split: Annotated[SeedOf, OneOf()] = Field(
        "run",
        description="Which images form the validation part, where the dataset does not say: run draws it anew for each "
        "seed, so that intervals contain this variance; shared takes the same for all.",
    )
    source_seed: Annotated[SeedOf, OneOf()] = Field(
        "run",
        description="Which networks feature matrices come from: run has a source for each seed, which never reads the "
        "images that the run validates on; shared has one for all.",
    )
    protocol: Annotated[ProtocolName, OneOf()] = Field(
        "ansatz",
        description="ansatz is ours; released is that of the published study's code: a head of 1000 outputs, another "
        "scale of covariances, and an AGOP of 11 images and 10 logits.",
    )
    resize: Annotated[Literal["none", "spatial", "channels"], OneOf()] = Field(
        "none",
        description="What may differ between the patches of a layer and those of the layer of the source that it draws "
        "from: nothing; rows and columns, over which filters are interpolated; or channels, which are then independent "
        "of each other, with the source's mean covariance over rows and columns.",
    )
    layers: dict[Name, dict[str, Text]] = Field(
        {},
        description="For each source, where the shapes of patches do not decide it: layer of the network, and the "
        "layer of the source that it draws from, as in {imagenet: {features.3: features.5}}.",
    )

    @field_validator("layers", mode="before")
    @classmethod
    def _check_nesting(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and any(isinstance(layers, str) for layers in value.values()):
            raise mistake("give layers for each source: {imagenet: {features.3: features.5}}")
        return value

    @property
    def all_seeds(self) -> list[int]:
        """The seeds of the study, and those that learning rates are chosen with."""
        return [*self.seeds, *(self.tuning.seeds if self.tuning else ())]

    @model_validator(mode="after")
    def _check_tuning(self) -> "Initialization":
        if self.tuning and "learning_rate" in self.training.model_fields_set:
            text = f"{shown(self.training.learning_rate)} has no effect with tuning; leave it out"
            raise at(("training", "learning_rate"), text)
        for position, seed in enumerate(self.tuning.seeds if self.tuning else ()):
            if seed in self.seeds:
                text = f"{seed} is a seed of the study too; rates chosen with it would favour that run"
                raise at(("tuning", "seeds", position), text)
        return self

    @model_serializer(mode="wrap")
    def _without_the_tuned_rate(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written = inner(self)
        if self.tuning:
            del written["training"]["learning_rate"]
        return written

    @property
    def default_baseline(self) -> str:
        """The label of the initializer that the others are compared with where none is chosen."""
        labels = [choice.label for choice in self.initializers]
        return BASELINE if BASELINE in labels else labels[0]

    @model_validator(mode="after")
    def _check_baseline(self) -> "Initialization":
        labels = [choice.label for choice in self.initializers]
        if self.baseline is not None and self.baseline not in labels:
            raise at(("baseline",), none_of(self.baseline, labels))
        return self


class PretrainedNetworks(Section):
    """Networks with pre-trained weights: torchvision's, or the user's own."""

    weights: Annotated[list[Weights], DISTINCT] = Field(
        [],
        description="Weights, as torchvision names them: VGG11_Weights.IMAGENET1K_V1.",
        json_schema_extra=UNIQUE,
    )
    checkpoints: dict[Name, Checkpoint] = Field(
        {}, description="Weights of your own, each under a name of yours, which tables give as the variant."
    )
    dataset: Text = Field(description="Dataset over whose training images AGOP is averaged.")
    image_size: ImageSize = Field(224, description="Side of the images that torchvision's networks take, in pixels.")
    normalisation: OfWeights = Field(
        "dataset", description=f"Of torchvision's networks. {NORMALISED}; weights are those of their training."
    )

    @model_validator(mode="after")
    def _check_parts(self) -> "PretrainedNetworks":
        if not self.weights and not self.checkpoints:
            raise mistake("give at least one of weights and checkpoints")
        return self


class TrainedNetworks(Section):
    """Networks that are trained for the comparison of NFM and AGOP."""

    datasets: Values[Text] = Field(description="Datasets to train on, and over whose training images AGOP is averaged.")
    seeds: Seeds = Field([0], description="Seeds; every training is repeated with each of them.")
    network: NetworkConfig = Field(NetworkConfig(), description="The network to train.")
    vary: dict[str, Values[Any]] = Field(
        {},
        description="Options of the network that vary, each with a list of values; every combination is trained.",
    )
    initializer: Initializer | None = Field(
        initializers("kaiming_normal")[0], description="What it is initialized with; null leaves PyTorch's default."
    )
    training: TrainingSection = Field(TrainingSection(), description="How it is trained.")

    @model_validator(mode="after")
    def _check_varied(self) -> "TrainedNetworks":
        for key, values in self.vary.items():
            for position, value in enumerate(values):
                network = self.network.varied(key, value, at=("vary", key, position))
                values[position] = getattr(network, key)  # 1 is 1.0 where a number is meant
        return self


class Ansatz(Sparse):
    """Networks in which NFM and AGOP are compared, layer by layer."""

    pretrained: PretrainedNetworks | None = Field(None, description="Networks with pre-trained weights.")
    trained: Annotated[dict[Name, TrainedNetworks], Field(min_length=1)] = Field(
        {}, description="Networks to train, each under a name of yours."
    )

    @model_validator(mode="after")
    def _check_parts(self) -> "Ansatz":
        if not self.model_fields_set:
            raise mistake(f"give at least one of {joined(type(self).model_fields, 'and')}")
        return self


class EvolutionExperiment(Section):
    """A network whose features are followed while it trains."""

    datasets: Values[Text] = Field(description="Datasets to train on.")
    seeds: Seeds = Field([0], description="Seeds; every training is repeated with each of them.")
    network: NetworkConfig = Field(NetworkConfig(), description="The network to train.")
    initializer: Initializer | None = Field(
        None, description="What it is initialized with; null leaves PyTorch's default."
    )
    training: TrainingSection = Field(TrainingSection(), description="How it is trained.")
    layers: Values[Text] | None = Field(None, description="Layers that are followed; null is all of them.")
    steps: Annotated[list[Count], DISTINCT] = Field(
        [],
        description="Steps of the first epoch at which a snapshot is taken, besides the start and each epoch's end.",
        json_schema_extra=UNIQUE,
    )
    image: Index = Field(0, description="Number of the validation image whose way through the network is followed.")
