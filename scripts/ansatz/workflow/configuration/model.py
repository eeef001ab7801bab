"""The configuration as a whole."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ansatz import registry
from ansatz.data.conventions import PHOTOGRAPHS
from ansatz.errors import nearest
from ansatz.training.config import Precision
from ansatz.workflow.configuration.choices import Choice
from ansatz.workflow.configuration.datasets import DatasetOptions
from ansatz.workflow.configuration.expanding import expanded
from ansatz.workflow.configuration.kernels import KernelExperiment
from ansatz.workflow.configuration.mistakes import joined, mistake, unknown_key
from ansatz.workflow.configuration.networks import NetworkConfig
from ansatz.workflow.configuration.sections import (
    Ansatz,
    EvolutionExperiment,
    FeatureMatrices,
    Figures,
    Initialization,
    TrainedNetworks,
)
from ansatz.workflow.configuration.sources import Source
from ansatz.workflow.configuration.types import (
    DISTINCT,
    UNIQUE,
    Either,
    Fits,
    Index,
    Name,
    OneOf,
    Section,
    Text,
)

SECTIONS = ("initialization", "ansatz", "evolution", "kernels")
PARTS: dict[str, type[Section]] = {
    "initialization": Initialization,
    "ansatz.trained.<name>": TrainedNetworks,
    "evolution.<name>": EvolutionExperiment,
    "kernels.<name>": KernelExperiment,
}  # the parts that share keys


class Configuration(Section):
    """Every key, its type, its default and its meaning."""

    name: Name = Field(description="Name of this configuration; its results go to `results/<name>/`.")
    plugins: Annotated[list[Text], DISTINCT] = Field(
        [],
        description="Python files of yours that register initializers, networks, datasets, machines and the like.",
        json_schema_extra=UNIQUE,
    )
    datasets: Annotated[dict[Name, DatasetOptions], Field(min_length=1)] = Field(
        description="The datasets, each with its options, which may be left empty: a registered name, or a name of "
        "yours with `folder`."
    )
    data_dir: Text | None = Field(
        None, description="A folder in which archives are looked for before anything is downloaded."
    )
    sources: dict[Name, Source] = Field(
        {}, description="Networks whose feature matrices initializers draw from, each under a name of yours."
    )
    feature_matrices: FeatureMatrices = Field(FeatureMatrices(), description="How feature matrices are estimated.")
    pictures: Annotated[
        list[Annotated[Text | Index, Either("a file, china, flower or the number of an image")]],
        DISTINCT,
    ] = Field(
        list(PHOTOGRAPHS),
        description="Pictures that show what layers look at: numbers are training images of the dataset, china and "
        "flower come with scikit-learn, others are files of yours.",
        json_schema_extra=UNIQUE,
    )
    figures: Figures = Field(Figures(), description="How figures are drawn; changing it trains nothing.")
    device: Annotated[str, Fits("auto|cpu|cuda|cuda:[0-9]{1,3}", "it is auto, cpu, cuda or cuda:N")] = Field(
        "auto", description="Where networks run: auto is a GPU if there is one; cuda and cuda:N require one."
    )
    gpu_slots: Annotated[int, Field(ge=1, le=64)] = Field(
        1,
        description="Number of jobs that share a GPU, each with its own `memory`; more than 1 is faster for small "
        "networks.",
    )
    precision: Annotated[Precision, OneOf()] = Field(
        "float32",
        description="Precision of forward and backward passes (autocast); parameters stay float32. bfloat16 is faster "
        "on hardware that supports it.",
    )
    deterministic: bool = Field(
        False, description="Whether a GPU must repeat the same bits, which is slower; the CPU always does."
    )
    memory: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        None,
        description="GB that images may take on the device, and as much again for what is computed from them at once; "
        "larger datasets are streamed from their file. A training also takes four or five times the size of its "
        "network, and what `batch_size` images need. null is 1 on the CPU, and a quarter of a GPU's memory.",
    )
    threads: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="CPU threads of a job that trains a network or estimates feature matrices."
    )
    initialization: Initialization | None = Field(
        None, description="The study: networks that differ only in their initialization."
    )
    ansatz: Ansatz | None = Field(None, description="Networks in which NFM and AGOP are compared, layer by layer.")
    evolution: Annotated[dict[Name, EvolutionExperiment], Field(min_length=1)] = Field(
        {}, description="Networks whose features are followed while they train, each under a name of yours."
    )
    kernels: Annotated[dict[Name, KernelExperiment], Field(min_length=1)] = Field(
        {}, description="Tasks that kernel machines and a convolutional network learn, each under a name of yours."
    )

    @property
    def sections(self) -> list[str]:
        """The sections that the configuration has."""
        return [section for section in SECTIONS if getattr(self, section)]

    @property
    def study_network(self) -> NetworkConfig:
        """The network of the study, which is that of sources too that name none; the default without a study."""
        return self.initialization.network if self.initialization else NetworkConfig()

    @property
    def study_datasets(self) -> list[str]:
        """The datasets that the study trains on: those it names, or all."""
        named = self.initialization.datasets if self.initialization else None
        return named or list(self.datasets)

    def source_of(self, initializer: Choice | None) -> str | None:
        """Return the name of the source that an initializer draws from, if it draws from one."""
        if initializer is None or not initializer.needs:
            return None
        return initializer.source or next(iter(self.sources))

    def origin_of(self, source: str) -> str | None:
        """Return the name of the source that a source starts from, if it starts from one."""
        of, study = self.sources[source], self.initialization
        if of.initialized:
            return self.source_of(of.initialized.initializer)
        compared = {choice.label: choice for choice in study.initializers} if study else {}
        return self.source_of(compared.get(of.run.initializer)) if of.run else None

    def lineage(self, source: str | None) -> list[str]:
        """Return a source, that which it starts from, and so on, each once; nothing for a name that is no source's."""
        names: list[str] = []
        while source in self.sources and source not in names:
            names.append(source)
            source = self.origin_of(source)
        return names

    def experiments(self) -> Iterator[tuple[str, Any]]:
        """Yield every experiment of `ansatz.trained`, `evolution` and `kernels`, with its key."""
        trained = self.ansatz.trained if self.ansatz else {}
        for key, experiments in ("ansatz.trained", trained), ("evolution", self.evolution), ("kernels", self.kernels):
            for name, experiment in experiments.items():
                yield f"{key}.{name}", experiment

    def as_configured(self) -> dict[str, Any]:
        """Return what a configuration file would hold, with every default."""
        return self.model_dump(exclude={section for section in SECTIONS if section not in self.sections})

    @classmethod
    def check_keys(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Refuse unknown keys, and say where a section's key belongs."""
        for key in value:
            if key not in cls.model_fields:
                raise mistake(_misplaced(key) or unknown_key(key, cls.model_fields))
        if isinstance(datasets := value.get("datasets"), dict):
            value["datasets"] = {name: {} if options is None else options for name, options in datasets.items()}
        if "initialization" in value and value["initialization"] is None:
            value["initialization"] = {}  # all of its defaults
        return value

    @field_validator("initialization", mode="before")
    @classmethod
    def _draw_from_every_source(cls, study: Any, info: ValidationInfo) -> Any:
        if isinstance(study, Mapping) and "initializers" in study and "sources" in info.data:
            return {**study, "initializers": expanded(study["initializers"], info.data["sources"])}
        return study  # or sources have a mistake, which is reported

    @model_validator(mode="after")
    def _check_sections(self) -> "Configuration":
        if not self.sections:
            raise mistake(f"nothing to run; give at least one of {joined(SECTIONS)}")
        return self


def places_of(key: str) -> list[str]:
    """Return the sections and experiments that have a key."""
    registered = [*registry.definitions("task").values(), *registry.definitions("machine").values()]
    is_option = any(key in definition.options for definition in registered)
    return [
        place for place, part in PARTS.items() if key in part.model_fields or (part is KernelExperiment and is_option)
    ]


def _misplaced(key: str) -> str:
    """Return the wording for a key at the top that is, or nearly is, one of sections; nothing for others."""
    keys = [name for part in PARTS.values() for name in part.model_fields]
    name = key if places_of(key) else nearest(key, [*Configuration.model_fields, *keys])
    if name is None or name in Configuration.model_fields:
        return ""
    question = "" if name == key else f" did you mean {name!r}?"
    return f"unknown key {key!r};{question} it belongs in {joined(places_of(name), 'or')}"
