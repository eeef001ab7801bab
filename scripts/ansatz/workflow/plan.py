"""From the configuration to the cases that it asks for."""

from collections.abc import Callable, Iterator
from itertools import chain, product
from typing import Any, cast

from ansatz.reporting.figures.catalogue import names
from ansatz.workflow.cases import NO_INITIALIZER, Cases, Comparison, Extraction, MachineRun, Options, Training, Tuning
from ansatz.workflow.configuration.choices import Choice, level
from ansatz.workflow.configuration.model import Configuration
from ansatz.workflow.configuration.networks import NetworkConfig
from ansatz.workflow.configuration.sections import Initialization, TrainedNetworks
from ansatz.workflow.configuration.sources import Source, TrainSource
from ansatz.workflow.configuration.training import TrainingSection
from ansatz.workflow.protocols import PROTOCOLS, Protocol

IMAGENET_CLASSES = 1000
SOURCES = 10**9  # added to the seeds of sources, so that the source of a run does not start like the run
NETWORK = 6 * 10**9  # bytes of main memory for PyTorch with CUDA, and for a network, its gradients and a checkpoint
CPU_MEMORY = 2**30  # bytes: what `memory` is on the CPU if the configuration leaves it open
PIXEL = (
    2600  # bytes of activations and gradients for a pixel of a batch: 2560 in VGG19, 2460 in ResNet-50, 1840 in VGG11
)


class Plan:
    """Everything that a configuration asks for.

    Parameters
    ----------
    configuration : Configuration
    results : str
        The folder of its results.

    Attributes
    ----------
    trainings, tunings, extractions, comparisons, machine_runs : Cases
    """

    def __init__(self, configuration: Configuration, results: str) -> None:
        self.configuration, self.results = configuration, results
        self.tunings = Cases("initialization.tuning", "tuning", self._tunings())
        self.trainings = Cases(
            "initialization", "training", chain(self._sources(), self._study(), self._networks(), self._evolutions())
        )
        self.comparisons = Cases("ansatz", "network", chain(self._pretrained(), self._trained()))
        self.extractions = Cases("sources", "extraction", chain(self._source_matrices(), self._network_matrices()))
        self.machine_runs = Cases("kernels", "machine_run", self._machine_runs())

    # --------------------------------------------------------------------------------------------- the cases
    def _sources(self) -> Iterator[Training]:
        for name, source, run_seed in self._instances():
            if train := source.train:
                network, place = self._network_of(train.network), source_place(name, run_seed)
                seed = source_seed(train, run_seed)
                yield Training(
                    results=self.results,
                    place=place,
                    run={"source": place.removeprefix("sources/"), "dataset": train.dataset, "seed": seed},
                    dataset=train.dataset,
                    network=network.builder,
                    images=self._images(network),
                    **self._initializer(train.initializer, run_seed),
                    training=self._training(train.training),
                    seed=seed,
                    split=self._split(run_seed),
                    title=f"{place.replace('/', '.')}.train",
                    parts=["train"],
                )

    def _instances(self) -> Iterator[tuple[str, Source, int | None]]:
        """Yield each source by name, with each seed of runs that have one of their own, and None for the shared one."""
        for name, source in self.configuration.sources.items():
            yield from ((name, source, seed) for seed in [None, *self._own_seeds(source)])

    def _own_seeds(self, source: Source) -> list[int]:
        """Return the seeds of the runs for which a source is made anew; convolutions alone are always the same."""
        study = self.configuration.initialization
        return study.all_seeds if study and study.source_seed == "run" and source.dataset else []

    def _study(self) -> Iterator[Training]:
        yield from chain.from_iterable(tuning.trainings for tuning in self.tunings.values())
        if study := self.configuration.initialization:
            for dataset, initializer, seed in product(study.datasets or (), study.initializers, study.seeds):
                tuning = self.tunings.get(tuning_place(dataset, initializer))
                case = f"{dataset}/{initializer.label}/seed{seed}"
                yield self._compared(dataset, initializer, seed, f"initialization/runs/{case}", tuning=tuning)

    def _tunings(self) -> Iterator[Tuning]:
        study = self.configuration.initialization
        if study and study.tuning:
            for dataset, initializer in product(study.datasets or (), study.initializers):
                place = tuning_place(dataset, initializer)
                trainings = [
                    self._compared(dataset, initializer, seed, f"{place}/{level(rate)}/seed{seed}", learning_rate=rate)
                    for rate, seed in product(study.tuning.learning_rates, study.tuning.seeds)
                ]
                yield Tuning(results=self.results, place=place, dataset=dataset, trainings=trainings)

    def _compared(
        self,
        dataset: str,
        initializer: Choice,
        seed: int,
        place: str,
        *,
        learning_rate: float | None = None,
        tuning: Tuning | None = None,
    ) -> Training:
        """Return a training of the study: at the configured learning rate, at one that is tried, or at the best one."""
        study = cast(Initialization, self.configuration.initialization)
        run: Options = {"dataset": dataset, "initializer": initializer.label}
        training = self._training(study.training)
        if tuning:
            del training["learning_rate"]  # the script reads it from the file of the choice
        if learning_rate:  # the test images are for the results
            run["learning_rate"] = training["learning_rate"] = learning_rate
        return Training(
            results=self.results,
            place=place,
            run=run | {"seed": seed},
            dataset=dataset,
            network=study.network.builder,
            images=self._images(study.network),
            **self._initializer(initializer, seed),
            training=training,
            tuning=tuning.place if tuning else None,
            head=self.protocol.head,
            seed=seed,
            split=self._split(seed),
            title="/".join(map(str, (run | {"seed": seed}).values())),
            parts=["train", "validation", *([] if learning_rate else ["test"])],
            evaluate="best",
        )

    def _networks(self) -> Iterator[Training]:
        for comparison, settings in self._variants():
            yield Training(
                results=self.results,
                place=comparison.place,
                run={key: getattr(comparison, key) for key in ("experiment", "variant", "dataset", "seed")},
                dataset=comparison.dataset,
                network=comparison.network,
                images=comparison.images,
                **self._initializer(settings.initializer),
                training=self._training(settings.training),
                seed=comparison.seed,
                title=f"ansatz.trained.{comparison.place.removeprefix('ansatz/')}",
            )

    def _evolutions(self) -> Iterator[Training]:
        for experiment, settings in self.configuration.evolution.items():
            for dataset, seed in product(settings.datasets, settings.seeds):
                yield Training(
                    results=self.results,
                    place=f"evolution/{experiment}/{dataset}/seed{seed}",
                    run={"experiment": experiment, "dataset": dataset, "seed": seed},
                    dataset=dataset,
                    network=settings.network.builder,
                    images=self._images(settings.network),
                    **self._initializer(settings.initializer),
                    training=self._training(settings.training),
                    seed=seed,
                    title=f"evolution.{experiment}",
                    snapshots={key: getattr(settings, key) for key in ("layers", "steps", "image")}
                    | self._estimation(),
                )

    def _source_matrices(self) -> Iterator[Extraction]:
        for name, source, run_seed in self._instances():
            settings, place = source.settings, source_place(name, run_seed)
            classes, start = None, {}
            if source.train:
                network = self._network_of(source.train.network)
                start = self._initializer(source.train.initializer, run_seed)
                start["seed"] = source_seed(source.train, run_seed)
                weights, origin = f"{self.results}/{place}/weights.pt", source.train.dataset
            elif source.torchvision:
                network = None
                weights, origin, classes = self.fetched(settings.weights), settings.weights, IMAGENET_CLASSES
            else:
                network = settings.network
                weights, origin, classes = settings.path, settings.path, settings.classes
            yield Extraction(
                results=self.results,
                place=f"{place}/features",
                dataset=source.dataset,
                network=network.builder if network else torchvision_network(settings.weights),
                images=self._images(network) if network else self._imagenet_images(settings.image_size),
                weights=weights,
                description=f"{source.kind} {origin}",
                classes=classes,
                split=self._split(run_seed),
                **start,
                sample_size=self.protocol.sample_size or self.configuration.feature_matrices.sample_size,
                estimator=self.estimator | self.protocol.estimator,
            )

    def _network_matrices(self) -> Iterator[Extraction]:
        for case in self.comparisons.values():
            for state in ("initial", "trained"):
                start = self.trainings.get(case.place) if state == "initial" else None
                yield Extraction(
                    results=self.results,
                    place=f"{case.place}/{state}",
                    dataset=case.dataset,
                    network=case.network,
                    images=case.images,
                    weights=case.weights if state == "trained" else None,
                    description=f"{case.place.removeprefix('ansatz/')}, {state}",
                    classes=case.classes,
                    initializer=start.initializer if start else NO_INITIALIZER,
                    source=start.source if start else None,
                    seed=case.seed,
                    **self._estimation(),
                )

    def _pretrained(self) -> Iterator[Comparison]:
        settings = self.configuration.ansatz.pretrained if self.configuration.ansatz else None
        if settings is None:
            return
        for weights in settings.weights:
            network = torchvision_network(weights)
            yield Comparison(
                results=self.results,
                place=f"ansatz/pretrained/{weights}",
                experiment="pretrained",
                variant=network["name"],
                dataset=settings.dataset,
                seed=0,
                network=network,
                images=self._imagenet_images(settings.image_size),
                weights=self.fetched(weights),
                classes=IMAGENET_CLASSES,
                trained=False,
                pictured=True,
            )

    def _trained(self) -> Iterator[Comparison]:
        return (comparison for comparison, _ in self._variants())

    def _variants(self) -> Iterator[tuple[Comparison, TrainedNetworks]]:
        """Yield the networks of ``ansatz.trained``: for each combination of what varies, each dataset and seed."""
        for experiment, settings in (self.configuration.ansatz.trained if self.configuration.ansatz else {}).items():
            for values in product(*settings.vary.values()):
                varied = dict(zip(settings.vary, values, strict=True))
                network = settings.network
                for key, value in varied.items():
                    network = network.varied(key, value)
                variant = "_".join(f"{key}-{value}" for key, value in varied.items()) or network.name
                for dataset, seed in product(settings.datasets, settings.seeds):
                    place = f"ansatz/{experiment}/{variant}/{dataset}/seed{seed}"
                    comparison = Comparison(
                        results=self.results,
                        place=place,
                        experiment=experiment,
                        variant=variant,
                        dataset=dataset,
                        seed=seed,
                        network=network.builder,
                        images=self._images(network),
                        weights=f"{self.results}/{place}/weights.pt",
                        classes=None,
                        trained=True,
                        pictured=not varied and seed == settings.seeds[0],
                    )
                    yield comparison, settings

    def _machine_runs(self) -> Iterator[MachineRun]:
        for experiment, settings in self.configuration.kernels.items():
            for dataset, noise, machine, seed in product(
                settings.datasets or [settings.task], settings.noise, settings.machines, settings.seeds
            ):
                run = {"experiment": experiment, "dataset": dataset, "noise": level(noise), "machine": machine.label}
                yield MachineRun(
                    results=self.results,
                    place=f"kernels/{experiment}/{dataset}/noise{level(noise)}/{machine.label}/seed{seed}",
                    run=run | {"seed": seed},
                    dataset=dataset if settings.datasets else None,
                    task={
                        "name": settings.task,
                        "train": settings.train,
                        "test": settings.test,
                        "seed": seed,
                        "options": settings.task_options(noise),
                    },
                    machine={"name": machine.name, "options": settings.machine_options(machine)},
                )

    # --------------------------------------------------------------------------------------------- what rules ask
    @property
    def record(self) -> str:
        """The file that says what the results are made from."""
        return f"{self.results}/config.yaml"

    @property
    def memory(self) -> int | None:
        """The bytes that images may take on the device."""
        return int(self.configuration.memory * 1e9) if self.configuration.memory else None

    def megabytes_of(self, cases: Cases[Any]) -> Callable[[Any], int]:
        """Return the function (wildcards) -> megabytes of main memory that the job of a case may take."""

        def value(wildcards: Any) -> int:
            total = NETWORK
            if not self.configuration.device.startswith("cuda"):  # on a GPU, the rest is in that GPU's memory
                total += 2 * (self.memory or CPU_MEMORY) + PIXEL * cases.case_of(wildcards).pixels_at_once
            return -(-total // 10**6)

        return value

    @property
    def protocol(self) -> Protocol:
        """The protocol of the study."""
        study = self.configuration.initialization
        return PROTOCOLS[study.protocol if study else "ansatz"]

    @property
    def estimator(self) -> Options:
        """How AGOP is estimated."""
        return {"probes": self.configuration.feature_matrices.probes, "precision": self.configuration.precision}

    @property
    def curves(self) -> list[str]:
        """The figures over epochs: those that are always drawn, and one for each further metric."""
        study = self.configuration.initialization
        return list(dict.fromkeys([*names("curves"), *(study.training.metrics if study else ())]))

    @property
    def baseline(self) -> str | None:
        """The initializer of the study that the others are compared with."""
        study = self.configuration.initialization
        return study.baseline if study else None

    def archived_datasets(self) -> list[str]:
        """Return the registered datasets that any case needs, by name."""
        used = chain(self.trainings.values(), self.extractions.values(), self.machine_runs.values())
        names = {*self.configuration.datasets, *(case.dataset for case in used if case.dataset)}
        options = self.configuration.datasets
        return sorted(name for name in names if name not in options or options[name].folder is None)

    def published_weights(self) -> list[str]:
        """Return torchvision's weights that any case needs, by name."""
        pretrained = self.configuration.ansatz.pretrained if self.configuration.ansatz else None
        sources = [source.torchvision.weights for source in self.configuration.sources.values() if source.torchvision]
        return sorted({*sources, *(pretrained.weights if pretrained else ())})

    def checksum_of_weights(self, wildcards: Any) -> str:
        """Return the checksum that the configuration gives torchvision's weights; if none, an empty text."""
        named = [source.torchvision for source in self.configuration.sources.values() if source.torchvision]
        return next((settings.sha256 for settings in named if settings.weights == wildcards.weights), "")

    # --------------------------------------------------------------------------------------------- what cases share
    def fetched(self, weights: str) -> str:
        """Return where torchvision's weights of that name lie once they are fetched."""
        return f"{self.results}/weights/{weights}.pth"

    def _network_of(self, network: NetworkConfig | None) -> NetworkConfig:
        """Return a source's network: its own, or that of the study."""
        study = self.configuration.initialization
        return network or (study.network if study else NetworkConfig())

    def _images(self, network: NetworkConfig) -> Options:
        return {"size": network.image_size, "channels": network.in_channels, "memory": self.memory}

    def _imagenet_images(self, size: int) -> Options:
        return self._images(NetworkConfig(image_size=size, in_channels=3))

    def _training(self, section: TrainingSection) -> Options:
        return section.model_dump() | {"precision": self.configuration.precision}

    def _estimation(self) -> Options:
        return {"sample_size": self.configuration.feature_matrices.sample_size, "estimator": self.estimator}

    def _split(self, run_seed: int | None) -> int | None:
        """Return the seed that divides training and validation images; None for the division in the file."""
        study = self.configuration.initialization
        return run_seed if study and study.split == "run" else None

    def _initializer(self, choice: Choice | None, run_seed: int | None = None) -> Options:
        """Return the initializer as scripts take it, and the source it draws from: that of the run's seed, if any."""
        if choice is None:
            return {"initializer": NO_INITIALIZER, "source": None}
        name, study = self.configuration.source_of(choice), self.configuration.initialization
        covariance, source = {}, None
        if name:
            own = self._own_seeds(self.configuration.sources[name])
            source = source_place(name, run_seed if run_seed in own else None)
            covariance = {"scaling": self.protocol.scaling, "layers": study.layers} if study else {}
        return {
            "initializer": {"name": choice.name, "options": dict(choice.options), "covariance": covariance},
            "source": source,
        }


def torchvision_network(weights: str) -> Options:
    """Return what torchvision's network of these weights is built from."""
    return {"name": weights.partition("_Weights")[0].lower(), "width": 1.0, "in_channels": 3}


def source_place(name: str, run_seed: int | None) -> str:
    """Return the place of a source: of the one for runs with this seed, or of the one that is shared."""
    return f"sources/{name}" if run_seed is None else f"sources/{name}/seed{run_seed}"


def source_seed(train: TrainSource, run_seed: int | None) -> int:
    """Return the seed of a source that is trained here."""
    return train.seed if run_seed is None else SOURCES + train.seed + run_seed


def tuning_place(dataset: str, initializer: Choice) -> str:
    """Return the place of the choice of a learning rate."""
    return f"initialization/tuning/{dataset}/{initializer.label}"
