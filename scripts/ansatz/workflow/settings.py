"""What cases take from the configuration, whatever section asks for them."""

from typing import Any

from ansatz.workflow.cases import NO_INITIALIZER, Options
from ansatz.workflow.configuration.choices import Choice
from ansatz.workflow.configuration.model import Configuration
from ansatz.workflow.configuration.networks import NetworkConfig
from ansatz.workflow.configuration.sources import InitialSource, Source
from ansatz.workflow.configuration.training import TrainingSection
from ansatz.workflow.protocols import PROTOCOLS, Protocol

IMAGENET_CLASSES = 1000
SOURCES = 10**9  # added to the seeds of sources, so that the source of a run does not start like the run
APART = 10**6  # so many runs' seeds are between two seeds of a source, so that no run has the source of another


class Settings:
    """What cases take from the configuration.

    Parameters
    ----------
    configuration : Configuration
    results : str
        The folder of its results.
    """

    def __init__(self, configuration: Configuration, results: str) -> None:
        self.configuration, self.results = configuration, results

    @property
    def memory(self) -> int | None:
        """The bytes that images may take on the device."""
        return int(self.configuration.memory * 1e9) if self.configuration.memory else None

    @property
    def protocol(self) -> Protocol:
        """The protocol of the study."""
        study = self.configuration.initialization
        return PROTOCOLS[study.protocol if study else "ansatz"]

    @property
    def estimator(self) -> Options:
        """How AGOP is computed where no protocol says otherwise; keywords of `ansatz.features.agop.agop_over`."""
        return self.configuration.feature_matrices.model_dump() | {"precision": self.configuration.precision}

    def fetched(self, weights: str) -> str:
        """Return where torchvision's weights of that name lie once they are fetched."""
        return f"{self.results}/weights/{weights}.pth"

    def network_of(self, network: NetworkConfig | None) -> NetworkConfig:
        """Return a source's network: its own, or that of the study."""
        return network or self.configuration.study_network

    def images_of(self, network: NetworkConfig) -> Options:
        """Return how images are given to a network."""
        return {"size": network.image_size, "channels": network.in_channels, "memory": self.memory}

    def normalisation_of(self, settings: Any, weights: str = "") -> Options | str | None:
        """Return means and deviations; the name of torchvision's weights for theirs; None for the dataset's."""
        chosen = settings.normalisation
        return {"dataset": None, "weights": weights}[chosen] if isinstance(chosen, str) else chosen.model_dump()

    def imagenet_images(self, size: int) -> Options:
        """Return how images are given to a network of torchvision's."""
        return self.images_of(NetworkConfig(image_size=size, in_channels=3))

    def training_of(self, section: TrainingSection) -> Options:
        """Return the parameters of a training."""
        return section.model_dump() | {"precision": self.configuration.precision}

    def matching_of(self, source: str, network: NetworkConfig) -> Options:
        """Return how layers are matched with those of a source, as `ansatz.features.matching.match` takes it."""
        study = self.configuration.initialization
        if not study:
            return {}
        layers = study.layers.get(source, {}) if network == study.network else {}  # other networks have other layers
        return {"layers": layers, "resize": study.resize}

    def split_of(self, run_seed: int | None) -> Options:
        """Return the seed that divides training and validation images; None for the division in the file."""
        study = self.configuration.initialization
        return {"seed": run_seed if study and study.split == "run" else None}

    def initializer_of(self, choice: Choice | None, network: NetworkConfig, run_seed: int | None = None) -> Options:
        """Return the initializer as scripts take it, and the file that it draws from: of its run, or a shared one."""
        if choice is None:
            return {"initializer": NO_INITIALIZER, "features": None}
        name, study = self.configuration.source_of(choice), self.configuration.initialization
        covariance, features = {}, None
        if name:
            features = self.features_of(name, run_seed)
            covariance = self.matching_of(name, network) | {"scaling": self.protocol.scaling} if study else {}
        return {
            "initializer": {
                "name": choice.name,
                "options": dict(choice.options),
                "unit_variance": choice.unit_variance,
                "covariance": covariance,
            },
            "features": features,
        }

    def features_of(self, name: str, run_seed: int | None) -> str:
        """Return the file of the source that runs with this seed draw from: one of their own, or the shared one."""
        source = self.configuration.sources[name]
        if source.features:
            return source.features.path
        place = source_place(name, run_seed if run_seed in self.own_seeds(source) else None)
        return f"{self.results}/{place}/features.h5"

    def own_seeds(self, source: Source) -> list[int]:
        """Return the seeds for which a source is made anew; weights alone, and runs, are always the same."""
        study = self.configuration.initialization
        varies = source.initialized or (source.dataset and not source.run)
        return study.all_seeds if study and study.source_seed == "run" and varies else []


def torchvision_network(weights: str) -> Options:
    """Return what torchvision's network of these weights is built from."""
    name = weights.partition("_Weights")[0].lower()
    return {"name": name, "width": 1.0, "in_channels": 3, "classes": IMAGENET_CLASSES}


def source_place(name: str, run_seed: int | None) -> str:
    """Return the place of a source: of the one for runs with this seed, or of the one that is shared."""
    return f"sources/{name}" if run_seed is None else f"sources/{name}/seed{run_seed}"


def source_seed(source: InitialSource, run_seed: int | None) -> int:
    """Return the seed of a source that is initialized here."""
    return source.seed if run_seed is None else SOURCES + APART * source.seed + run_seed


def run_place(dataset: str, initializer: str, seed: int) -> str:
    """Return the place of a run of the study; `initializer` is its label."""
    return f"initialization/runs/{dataset}/{initializer}/seed{seed}"


def tuning_place(dataset: str, initializer: Choice) -> str:
    """Return the place of the choice of a learning rate."""
    return f"initialization/tuning/{dataset}/{initializer.label}"
