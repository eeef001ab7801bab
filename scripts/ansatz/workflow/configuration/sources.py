"""Sources: networks whose feature matrices can be drawn from, each under a name."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ansatz.workflow.configuration.choices import Choice, Initializer
from ansatz.workflow.configuration.mistakes import at, joined, mistake
from ansatz.workflow.configuration.networks import NetworkConfig
from ansatz.workflow.configuration.training import TrainingSection
from ansatz.workflow.configuration.types import (
    Checksum,
    Count,
    Either,
    ImageSize,
    Positive,
    Section,
    Seed,
    Sparse,
    Text,
    Weights,
)

AVERAGED = "Dataset over whose training images AGOP is averaged."


class Normalisation(Section):
    """What is subtracted from each channel of an image, and what it is then divided by, on the scale 0 to 1."""

    mean: Annotated[list[float], Field(min_length=1, max_length=3)] = Field(
        description="A mean for each channel, or one for all."
    )
    std: Annotated[list[Positive], Field(min_length=1, max_length=3)] = Field(
        description="A standard deviation for each channel, or one for all."
    )

    @model_validator(mode="after")
    def _check_lengths(self) -> "Normalisation":
        if len(self.mean) != len(self.std) or len(self.mean) == 2:
            raise mistake(f"{len(self.mean)} means and {len(self.std)} deviations; give one or three of each")
        return self


OfCheckpoint = Annotated[Literal["dataset"] | Normalisation, Either("dataset, or {mean: ..., std: ...}")]
OfWeights = Annotated[
    Literal["dataset", "weights"] | Normalisation, Either("dataset, weights or {mean: ..., std: ...}")
]
NORMALISED = "How images are normalised: by the statistics of the dataset, or by means and deviations of yours"


class InitialSource(Section):
    """A network before training, which has learned nothing."""

    dataset: Text | None = Field(None, description=f"{AVERAGED[:-1]}; null for an NFM alone.")
    network: NetworkConfig | None = Field(None, description="The network; null is that of `initialization`.")
    initializer: Initializer = Field(
        Choice(kind="initializer", name="kaiming_normal"),
        description="What it is initialized with; it may draw from another source, as in nfm@imagenet.",
    )
    seed: Seed = Field(
        0,
        description="Its seed. With `source_seed: run`, each seed of the study makes another network of it.",
    )

    @model_validator(mode="after")
    def _check_images(self) -> "InitialSource":
        if self.dataset is None and self.initializer.needs_images:
            raise at(("initializer",), f"{self.initializer.label} needs training images; give dataset")
        return self


class TrainSource(InitialSource):
    """A network that this workflow trains."""

    dataset: Text = Field(description="Dataset that it is trained on, and over whose training images AGOP is averaged.")
    training: TrainingSection = Field(TrainingSection(), description="How it is trained.")


class TorchvisionSource(Section):
    """One of torchvision's networks with its pre-trained weights."""

    weights: Weights = Field(description="Its weights, as torchvision names them: VGG11_Weights.IMAGENET1K_V1.")
    dataset: Text | None = Field(None, description=f"{AVERAGED[:-1]}; null for an NFM alone.")
    image_size: ImageSize = Field(224, description="Side of the images that it takes, in pixels.")
    normalisation: OfWeights = Field(
        "dataset", description=f"{NORMALISED}; weights are those with which torchvision trained the network."
    )
    sha256: Checksum = Field("", description="SHA-256 of the file of weights, if it is not torchvision's own.")


class OwnWeights(Section):
    """Weights of the user's own."""

    path: Text = Field(
        description="A state dict, as torch.save writes it, or a .safetensors file; also a checkpoint that holds one."
    )
    network: NetworkConfig = Field(NetworkConfig(), description="The network that the weights belong to.")
    normalisation: OfCheckpoint = Field("dataset", description=f"{NORMALISED}.")
    sha256: Checksum = Field("", description="SHA-256 of the file; empty: any file will do.")

    @model_validator(mode="after")
    def _check_channels(self) -> "OwnWeights":
        channels = self.network.in_channels
        if isinstance(self.normalisation, Normalisation) and len(self.normalisation.mean) > channels:
            means = f"{len(self.normalisation.mean)} means, but the network takes {channels} channel"
            raise at(("normalisation", "mean"), means)
        return self


class Checkpoint(OwnWeights):
    """A network with the user's own weights."""

    classes: Count = Field(description="Its number of classes.")


class CheckpointSource(OwnWeights):
    """A network with the user's own weights, or those of its layers alone, which have an NFM and no AGOP."""

    classes: Count | None = Field(
        None,
        description="Its number of classes; null reads the weights of its layers alone, whatever else the file holds.",
    )
    dataset: Text | None = Field(None, description=f"{AVERAGED[:-1]}; null if weights are read alone.")

    @model_validator(mode="after")
    def _check_whole(self) -> "CheckpointSource":
        if (self.classes is None) != (self.dataset is None):
            missing, given = ("classes", "dataset") if self.classes is None else ("dataset", "classes")
            raise mistake(f"{missing} is missing; AGOP takes classes and dataset, and NFM neither: leave {given} out")
        return self


class RunSource(Section):
    """A run of the study, whose weights are kept."""

    dataset: Text = Field(description="The run's dataset, over whose training images AGOP is averaged.")
    initializer: Text = Field(description="The run's initializer, by its name in tables.")
    seed: Seed = Field(description="The run's seed.")


class FeaturesSource(Section):
    """Feature matrices that were extracted before."""

    path: Text = Field(description="A features.h5, as this workflow writes it.")
    sha256: Checksum = Field("", description="SHA-256 of the file; empty: any file will do.")

    @property
    def dataset(self) -> None:
        """None: the file says whether it has an AGOP."""
        return None


class Source(Sparse):
    """A source, of one of these kinds."""

    @model_validator(mode="before")
    @classmethod
    def _take_defaults(cls, value: Any) -> Any:
        """Take ``initial:`` with nothing behind it for a network with all defaults."""
        if isinstance(value, Mapping):
            return {kind: {} if settings is None else settings for kind, settings in value.items()}
        return value

    train: TrainSource | None = Field(None, description="A network that this workflow trains.")
    initial: InitialSource | None = Field(None, description="A network before training.")
    run: RunSource | None = Field(None, description="A run of the study; `initialization.keep_weights` keeps weights.")
    torchvision: TorchvisionSource | None = Field(None, description="torchvision's pre-trained weights.")
    checkpoint: CheckpointSource | None = Field(None, description="Weights of your own.")
    features: FeaturesSource | None = Field(None, description="Feature matrices that were extracted before.")

    @model_validator(mode="after")
    def _check_kind(self) -> "Source":
        if len(self.model_fields_set) != 1 or None in (getattr(self, kind) for kind in self.model_fields_set):
            raise mistake(f"give exactly one of {joined(type(self).model_fields, 'or')}")
        return self

    @property
    def kind(self) -> str:
        """The key of its kind, such as ``train``."""
        (kind,) = self.model_fields_set
        return kind

    @property
    def settings(self) -> Any:
        """The settings of that kind."""
        return getattr(self, self.kind)

    @property
    def initialized(self) -> InitialSource | None:
        """The settings, if it is a network that is initialized here, trained or not."""
        return self.train or self.initial

    @property
    def dataset(self) -> str | None:
        """The dataset over whose training images AGOP is averaged, if there is one."""
        dataset: str | None = self.settings.dataset
        return dataset

    @property
    def seen(self) -> str | None:
        """The dataset whose images it has seen, if there is one: a network before training has seen none."""
        return None if self.initial else self.dataset

    @property
    def matrices(self) -> list[str]:
        """The feature matrices that initializers may need, and that it has; of a file, it is known when it is read."""
        has = {"nfm": True, "agop": self.dataset, "centred_nfm": self.train}
        return [kind for kind, known in has.items() if known or self.features]
