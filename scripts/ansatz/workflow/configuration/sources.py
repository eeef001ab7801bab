"""Sources: networks whose feature matrices can be drawn from, each under a name."""

from typing import Any

from pydantic import Field, model_validator

from ansatz.workflow.configuration.choices import Choice, Initializer
from ansatz.workflow.configuration.mistakes import joined, mistake
from ansatz.workflow.configuration.networks import NetworkConfig
from ansatz.workflow.configuration.training import TrainingSection
from ansatz.workflow.configuration.types import Checksum, Count, ImageSize, Section, Seed, Sparse, Text, Weights

AVERAGED = "Dataset over whose training images AGOP is averaged."


class TrainSource(Section):
    """A network that this workflow trains."""

    dataset: Text = Field(description="Dataset that it is trained on, and over whose training images AGOP is averaged.")
    network: NetworkConfig | None = Field(None, description="The network; null is that of `initialization`.")
    initializer: Initializer = Field(
        Choice(kind="initializer", name="kaiming_normal"),
        description="What it is initialized with; it may draw from another source, as in nfm@imagenet.",
    )
    seed: Seed = Field(0, description="Its seed.")
    training: TrainingSection = Field(TrainingSection(), description="How it is trained.")


class TorchvisionSource(Section):
    """One of torchvision's networks with its pre-trained weights."""

    weights: Weights = Field(description="Its weights, as torchvision names them: VGG11_Weights.IMAGENET1K_V1.")
    dataset: Text | None = Field(None, description=f"{AVERAGED[:-1]}; null for an NFM alone.")
    image_size: ImageSize = Field(224, description="Side of the images that it takes, in pixels.")
    sha256: Checksum = Field("", description="SHA-256 of the file of weights, if it is not torchvision's own.")


class CheckpointSource(Section):
    """A network with the user's own weights, or its convolutions alone, which have an NFM and no AGOP."""

    path: Text = Field(description="A state dict, as torch.save writes it, or a .safetensors file.")
    network: NetworkConfig = Field(NetworkConfig(), description="The network that the weights belong to.")
    classes: Count | None = Field(
        None, description="Its number of classes; null reads the convolutions alone, whatever else the file holds."
    )
    dataset: Text | None = Field(None, description=f"{AVERAGED[:-1]}; null if convolutions are read alone.")

    @model_validator(mode="after")
    def _check_whole(self) -> "CheckpointSource":
        if (self.classes is None) != (self.dataset is None):
            missing, given = ("classes", "dataset") if self.classes is None else ("dataset", "classes")
            raise mistake(f"{missing} is missing; AGOP takes classes and dataset, and NFM neither: leave {given} out")
        return self


class Source(Sparse):
    """A source, of one of three kinds."""

    train: TrainSource | None = Field(None, description="A network that this workflow trains.")
    torchvision: TorchvisionSource | None = Field(None, description="torchvision's pre-trained weights.")
    checkpoint: CheckpointSource | None = Field(None, description="Weights of your own.")

    @model_validator(mode="after")
    def _check_kind(self) -> "Source":
        if len(self.model_fields_set) != 1 or None in (getattr(self, kind) for kind in self.model_fields_set):
            raise mistake(f"give exactly one of {joined(type(self).model_fields, 'or')}")
        return self

    @property
    def kind(self) -> str:
        """``train``, ``torchvision`` or ``checkpoint``."""
        (kind,) = self.model_fields_set
        return kind

    @property
    def settings(self) -> Any:
        """The settings of that kind."""
        return getattr(self, self.kind)

    @property
    def dataset(self) -> str | None:
        """The dataset over whose training images AGOP is averaged; None if it has no AGOP."""
        return self.settings.dataset
