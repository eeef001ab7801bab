"""From the configuration to the cases that it asks for."""

from collections.abc import Callable, Iterator
from itertools import chain, product
from typing import Any, cast

from ansatz.memory import CPU_MEMORY, NETWORK, PIXEL
from ansatz.reporting.figures.catalogue import names
from ansatz.workflow.cases import NO_INITIALIZER, Alignment, Cases, Extraction, MachineRun, Options, Training, Tuning
from ansatz.workflow.configuration.choices import Choice, level
from ansatz.workflow.configuration.model import Configuration
from ansatz.workflow.configuration.networks import options_of
from ansatz.workflow.configuration.published import published_datasets
from ansatz.workflow.configuration.sections import Initialization, TrainedNetworks
from ansatz.workflow.configuration.sources import Source
from ansatz.workflow.settings import Settings, run_place, source_place, source_seed, torchvision_network, tuning_place


class Plan(Settings):
    """Everything that a configuration asks for.

    Parameters
    ----------
    configuration : Configuration
    results : str
        The folder of its results.

    Attributes
    ----------
    trainings, tunings, extractions, alignments, machine_runs : Cases
    """

    def __init__(self, configuration: Configuration, results: str) -> None:
        super().__init__(configuration, results)
        self.tunings = Cases("initialization.tuning", "tuning", self._tunings())
        self.trainings = Cases(
            "initialization", "training", chain(self._sources(), self._study(), self._networks(), self._evolutions())
        )
        self.alignments = Cases("ansatz", "network", chain(self._pretrained(), self._trained()))
        self.extractions = Cases("sources", "extraction", chain(self._source_matrices(), self._network_matrices()))
        self.machine_runs = Cases("kernels", "machine_run", self._machine_runs())

    @property
    def alignment_figures(self) -> list[str]:
        """The names of the figures of the section `ansatz`; that of heads only where a network may have some."""
        networks = [alignment.network["name"] for alignment in self.alignments.values()]
        has_heads = any("heads" in options_of(name) or name.startswith("vit_") for name in networks)
        return [name for name in names("alignment") if has_heads or name != "heads"]

    # --------------------------------------------------------------------------------------------- the cases
    def _sources(self) -> Iterator[Training]:
        for name, source, run_seed in self._instances():
            if train := source.train:
                network, place = self.network_of(train.network), source_place(name, run_seed)
                seed = source_seed(train, run_seed)
                yield Training(
                    results=self.results,
                    place=place,
                    run={"source": place.removeprefix("sources/"), "dataset": train.dataset, "seed": seed},
                    dataset=train.dataset,
                    network=network.builder,
                    images=self.images_of(network),
                    **self.initializer_of(train.initializer, network, run_seed),
                    training=self.training_of(train.training),
                    seed=seed,
                    split=self.split_of(run_seed),
                    title=f"{place.replace('/', '.')}.train",
                    parts=["train"],
                )

    def _instances(self) -> Iterator[tuple[str, Source, int | None]]:
        """Yield each source by name, with each seed of runs that have one of their own, and None for the shared one."""
        for name, source in self.configuration.sources.items():
            yield from ((name, source, seed) for seed in [None, *self.own_seeds(source)])

    def _study(self) -> Iterator[Training]:
        yield from chain.from_iterable(tuning.trainings for tuning in self.tunings.values())
        if study := self.configuration.initialization:
            for dataset, initializer, seed in product(study.datasets or (), study.initializers, study.seeds):
                tuning = self.tunings.get(tuning_place(dataset, initializer))
                yield self._compared(
                    dataset, initializer, seed, run_place(dataset, initializer.label, seed), tuning=tuning
                )

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
        training = self.training_of(study.training)
        if tuning:
            del training["learning_rate"]  # the script reads it from the file of the choice
        if learning_rate:
            run["learning_rate"] = training["learning_rate"] = learning_rate
        return Training(
            results=self.results,
            place=place,
            run=run | {"seed": seed},
            dataset=dataset,
            network=study.network.builder,
            images=self.images_of(study.network),
            **self.initializer_of(initializer, study.network, seed),
            training=training,
            tuning=tuning.place if tuning else None,
            head=self.protocol.head,
            seed=seed,
            split=self.split_of(seed),
            title="/".join(map(str, (run | {"seed": seed}).values())),
            parts=["train", "validation", *([] if learning_rate else ["test"])],  # which is for the results alone
            evaluate="best",
            keep_weights="none" if learning_rate else study.keep_weights,
        )

    def _networks(self) -> Iterator[Training]:
        for alignment, settings in self._variants():
            yield Training(
                results=self.results,
                place=alignment.place,
                run={key: getattr(alignment, key) for key in ("experiment", "variant", "dataset", "seed")},
                dataset=alignment.dataset,
                network=alignment.network,
                images=alignment.images,
                **self.initializer_of(settings.initializer, settings.network),
                training=self.training_of(settings.training),
                seed=alignment.seed,
                title=f"ansatz.trained.{alignment.place.removeprefix('ansatz/')}",
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
                    images=self.images_of(settings.network),
                    **self.initializer_of(settings.initializer, settings.network),
                    training=self.training_of(settings.training),
                    seed=seed,
                    title=f"evolution.{experiment}",
                    snapshots={key: getattr(settings, key) for key in ("layers", "steps", "image")}
                    | {"estimator": self.estimator},
                )

    def _source_matrices(self) -> Iterator[Extraction]:
        for name, source, run_seed in self._instances():
            if source.features:
                continue  # which are extracted already
            settings, place = source.settings, source_place(name, run_seed)
            start: Options = {}
            split = self.split_of(run_seed)
            if source.initialized:
                network = self.network_of(settings.network)
                builder, images = network.builder, self.images_of(network)
                start = self.initializer_of(settings.initializer, network, run_seed)
                start["seed"] = source_seed(settings, run_seed)
                weights, origin = None, settings.initializer.label
                if source.train:
                    weights, origin = f"{self.results}/{place}/weights.pt", settings.dataset
            elif source.run:
                run = self.trainings[run_place(settings.dataset, settings.initializer, settings.seed)]
                builder, images, split = run.network, run.images, run.split
                weights, origin = f"{self.results}/{run.place}/weights.pt", run.title
            elif source.torchvision:
                builder, images = torchvision_network(settings.weights), self.imagenet_images(settings.image_size)
                weights, origin = self.fetched(settings.weights), settings.weights
                start["normalisation"] = self.normalisation_of(settings, settings.weights)
            else:
                builder = settings.network.builder | ({"classes": settings.classes} if settings.classes else {})
                images, weights, origin = self.images_of(settings.network), settings.path, settings.path
                start |= {"normalisation": self.normalisation_of(settings), "checksum": {"sha256": settings.sha256}}
            yield Extraction(
                results=self.results,
                place=f"{place}/features",
                dataset=source.dataset,
                network=builder,
                images=images,
                weights=weights,
                kinds=["nfm", *(["agop"] if source.dataset else []), *(["centred_nfm"] if source.train else [])],
                description=f"{source.kind} {origin}",
                split=split,
                **start,
                estimator=self.estimator | self.protocol.estimator,
            )

    def _network_matrices(self) -> Iterator[Extraction]:
        for case in self.alignments.values():
            for state in ("initial", "trained"):
                start = self.trainings.get(case.place)
                further = ["gradient", *(["centred_nfm"] if start else [])] if state == "trained" else []
                yield Extraction(
                    results=self.results,
                    place=f"{case.place}/{state}",
                    dataset=case.dataset,
                    network=case.network,
                    images=case.images,
                    weights=case.weights if state == "trained" else None,
                    kinds=["nfm", "agop", *further],
                    description=f"{case.place.removeprefix('ansatz/')}, {state}",
                    initializer=start.initializer if start else NO_INITIALIZER,
                    features=start.features if start else None,
                    seed=case.seed,
                    estimator=self.estimator,
                    normalisation=case.normalisation,
                    checksum=case.checksum,
                )

    def _pretrained(self) -> Iterator[Alignment]:
        settings = self.configuration.ansatz.pretrained if self.configuration.ansatz else None
        if settings is None:
            return
        common: Options = {"results": self.results, "experiment": "pretrained", "dataset": settings.dataset, "seed": 0}
        common |= {"trained": False, "pictured": True}
        for weights in settings.weights:
            network = torchvision_network(weights)
            yield Alignment(
                place=f"ansatz/pretrained/{weights}",
                variant=network["name"],
                network=network,
                images=self.imagenet_images(settings.image_size),
                weights=self.fetched(weights),
                normalisation=self.normalisation_of(settings, weights),
                **common,
            )
        for name, checkpoint in settings.checkpoints.items():
            yield Alignment(
                place=f"ansatz/pretrained/{name}",
                variant=name,
                network=checkpoint.network.builder | {"classes": checkpoint.classes},
                images=self.images_of(checkpoint.network),
                weights=checkpoint.path,
                normalisation=self.normalisation_of(checkpoint),
                checksum={"sha256": checkpoint.sha256},
                **common,
            )

    def _trained(self) -> Iterator[Alignment]:
        return (alignment for alignment, _ in self._variants())

    def _variants(self) -> Iterator[tuple[Alignment, TrainedNetworks]]:
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
                    alignment = Alignment(
                        results=self.results,
                        place=place,
                        experiment=experiment,
                        variant=variant,
                        dataset=dataset,
                        seed=seed,
                        network=network.builder,
                        images=self.images_of(network),
                        weights=f"{self.results}/{place}/weights.pt",
                        trained=True,
                        pictured=not varied and seed == settings.seeds[0],
                    )
                    yield alignment, settings

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
    def needed_trainings(self) -> list[str]:
        """The places of the trainings that sections need: of those of sources, the ones that something draws from."""
        makers = {f"{self.results}/{extraction.place}.h5": extraction for extraction in self.extractions.values()}
        needed = {place for place, training in self.trainings.items() if "source" not in training.run}
        drawn_from = [self.trainings[place].features for place in needed]
        for file in drawn_from:  # which grows: a source may draw from another one
            if maker := makers.pop(file or "", None):
                drawn_from.append(maker.features)
                needed.add(maker.place.removesuffix("/features"))
        return [place for place in self.trainings if place in needed]

    @property
    def record(self) -> str:
        """The file that says what the results are made from."""
        return f"{self.results}/config.yaml"

    def megabytes_of(self, cases: Cases[Any]) -> Callable[[Any], int]:
        """Return the function (wildcards) -> megabytes of main memory that the job of a case may take."""

        def value(wildcards: Any) -> int:
            total = NETWORK
            if not self.configuration.device.startswith("cuda"):  # on a GPU, the rest is in that GPU's memory
                total += 2 * (self.memory or CPU_MEMORY) + PIXEL * cases.case_of(wildcards).pixels_at_once
            return -(-total // 10**6)

        return value

    @property
    def keeps_weights(self) -> bool:
        """Whether the study keeps the weights of its runs."""
        study = self.configuration.initialization
        return study is not None and study.keep_weights != "none"

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

    @property
    def as_published(self) -> list[str]:
        """The datasets that the study compares at the published settings."""
        return published_datasets(self.configuration)

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
