"""What a configuration asks for: every training, extraction, alignment and machine, with its place in paths.

A case's place is its folder (of an extraction, its file) below the results; rules look a case up by its place.
"""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ansatz.workflow.closure import definitions

Options = dict[str, Any]
NO_INITIALIZER: Options = {"name": None, "options": {}, "unit_variance": False, "covariance": {}}  # PyTorch's default


@dataclass(frozen=True, kw_only=True)
class Case:
    """What cases have in common.

    Attributes
    ----------
    results : str
        The folder of all results.
    place : str
        The case's own, below that folder.
    dataset : str or None
    features : str or None
        The file of feature matrices that its initializer draws from.
    split : dict
        The ``seed`` that divides training and validation images, None for the division in the dataset's file.

    Notes
    -----
    Numbers are parameters in mappings alone: Snakemake compares a job's parameters as a set of values without names, in
    which a bare number could hide.
    """

    results: str
    place: str
    dataset: str | None
    features: str | None = None
    split: Options = field(default_factory=lambda: {"seed": None})

    @property
    def pixels_at_once(self) -> int:
        """The pixels of the images that are on the device at once, besides those that fit into `memory`."""
        return 0

    @property
    def dataset_file(self) -> str | list[str]:
        """The file of the dataset, if there is one."""
        return f"{self.results}/datasets/{self.dataset}/dataset.h5" if self.dataset else []

    @property
    def features_file(self) -> str | list[str]:
        """The file of feature matrices, if there is one."""
        return self.features or []


@dataclass(frozen=True, kw_only=True)
class InitialNetwork(Case):
    """A network before training, and how images are given to it.

    Attributes
    ----------
    network, initializer, head, seed
        As for `ansatz.initializers.initial.initial_network`.
    images : dict
        Keywords of `ansatz.data.batches.on_device`.
    """

    network: Options
    images: Options
    initializer: Options = field(default_factory=lambda: NO_INITIALIZER)
    head: Options | None = None
    seed: int = 0

    @property
    def start(self) -> Options:
        """The keywords of `initial_network` that do not come from files."""
        return {key: getattr(self, key) for key in ("network", "initializer", "head", "seed")}


@dataclass(frozen=True, kw_only=True)
class Training(InitialNetwork):
    """A network to train; its fields are the parameters of ``train.py``.

    Attributes
    ----------
    run : dict
        The columns that identify the training in tables.
    parts : list of str
        The parts of the dataset that are read.
    evaluate : {"best", "last"}
        The epoch whose test accuracy is reported: that of the best validation accuracy, or the last.
    keep_weights : {"best", "last", "none"}
        The epoch whose weights are kept.
    snapshots : dict or None
        What is recorded of its features while it trains, and when.
    tuning : str or None
        The place of the choice of its learning rate, which `training` then lacks.
    """

    run: Options
    training: Options
    title: str
    parts: list[str] = field(default_factory=lambda: ["train", "validation", "test"])
    evaluate: str = "last"
    keep_weights: str = "last"
    snapshots: Options | None = None
    tuning: str | None = None

    @property
    def pixels_at_once(self) -> int:
        """The pixels of a batch."""
        return int(self.training["batch_size"] * self.images["size"] ** 2)

    @property
    def definitions(self) -> list[str]:
        """The files that define its network, initializer and metrics."""
        metrics = [("metric", name) for name in self.training["metrics"]]
        return definitions("train.py", [_network(self.network), _initializer(self.initializer), *metrics])


@dataclass(frozen=True, kw_only=True)
class Tuning(Case):
    """The choice of the best learning rate for a dataset and an initializer, and the trainings that try the rates."""

    trainings: list[Training]

    @property
    def places(self) -> list[str]:
        """The places of its trainings."""
        return [training.place for training in self.trainings]


@dataclass(frozen=True, kw_only=True)
class Extraction(InitialNetwork):
    """A network whose feature matrices to extract; the fields are the parameters of ``extract_features.py``.

    Attributes
    ----------
    weights : str or None
        The file of its weights; None for those that its initializer and seed give. Without a dataset, the weights of
        its layers are read alone.
    kinds : list of str
        What is extracted, as for `ansatz.features.extraction.extract`.
    description : str
        Where its matrices come from, as stored in the file.
    estimator : dict
        How its AGOP is computed.
    normalisation
        As for `ansatz.networks.weights.normalisation_of`.
    checksum : dict
        The ``sha256`` of the file of weights, where it is known: another one is other weights, whatever their date.
    """

    weights: str | None
    kinds: list[str]
    description: str
    estimator: Options
    normalisation: Any = None
    checksum: Options = field(default_factory=dict)

    @property
    def weights_file(self) -> str | list[str]:
        """The file of its weights, if there is one."""
        return self.weights or []

    @property
    def definitions(self) -> list[str]:
        """The files that define its network and initializer."""
        return definitions("extract_features.py", [_network(self.network), _initializer(self.initializer)])


@dataclass(frozen=True, kw_only=True)
class Alignment(Case):
    """A network whose NFM and AGOP to compare, before and after its training.

    Attributes
    ----------
    trained : bool
        Whether it is trained here; torchvision's are not.
    pictured : bool
        Whether its feature matrices are drawn.
    """

    experiment: str
    variant: str
    seed: int
    network: Options
    images: Options
    weights: str
    trained: bool
    pictured: bool
    normalisation: Any = None
    checksum: Options = field(default_factory=dict)

    @property
    def summary_file(self) -> str | list[str]:
        """The summary of its training, if it is trained here."""
        return f"{self.results}/{self.place}/summary.json" if self.trained else []

    @property
    def definitions(self) -> list[str]:
        """The file that defines its network."""
        return definitions("draw_saliency.py", [_network(self.network)])


@dataclass(frozen=True, kw_only=True)
class MachineRun(Case):
    """A machine and the task that it learns; its fields are the parameters of ``run_machine.py``."""

    run: Options
    task: Options
    machine: Options

    @property
    def definitions(self) -> list[str]:
        """The files that define its task, its machine and that machine's kernel."""
        kernel = [("kernel", self.machine["options"]["kernel"])] if "kernel" in self.machine["options"] else []
        names = [("task", self.task["name"]), ("machine", self.machine["name"]), *kernel]
        return definitions("run_machine.py", names)


def _network(network: Options) -> tuple[str, str]:
    return "network", network["name"]


def _initializer(initializer: Options) -> tuple[str, str]:
    return "initializer", initializer["name"] or ""


Kind = TypeVar("Kind", bound=Case)


class Cases(dict[str, Kind], Generic[Kind]):
    """Cases by their place; a target that names a place that is not configured ends in one line.

    Parameters
    ----------
    section : str
        The part of the configuration that asks for them.
    wildcard : str
        The wildcard of rules that holds the place.
    cases : iterable of Case
    """

    def __init__(self, section: str, wildcard: str, cases: Iterable[Kind] = ()) -> None:
        super().__init__({case.place: case for case in cases})
        self.section, self.wildcard = section, wildcard

    def __missing__(self, place: str) -> Kind:
        near = "".join(difflib.get_close_matches(place, self, n=1, cutoff=0))
        nearest = f"; the nearest is {near}" if near else ""
        raise SystemExit(f"config.{self.section}: {place} is not configured{nearest}")

    def case_of(self, wildcards: Any) -> Kind:
        """Return the case that a rule's wildcards name."""
        return self[getattr(wildcards, self.wildcard)]

    def of(self, field: str) -> Callable[[Any], Any]:
        """Return the function (wildcards) -> that field of the case: ``network=TRAININGS.of("network")`` in a rule."""
        return lambda wildcards: getattr(self.case_of(wildcards), field)

    def below(self, folder: str) -> list[str]:
        """Return the places below a folder."""
        return [place for place in self if place.startswith(f"{folder}/")]
