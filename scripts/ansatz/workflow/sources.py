"""What rules ask about the sources that the study draws from."""

from collections import Counter
from itertools import chain

from ansatz.workflow.plan import Plan


class SourceInputs(dict[str, str]):
    """The sources that the study draws from and those that these start from: name -> features.h5 of its first seed.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        self.configuration, self.study = plan.configuration, plan.configuration.initialization
        used = set(chain.from_iterable(map(self.configuration.lineage, self.direct)))
        first = self.study.seeds[0] if self.study else None
        super().__init__({name: plan.features_of(name, first) for name in self.configuration.sources if name in used})

    @property
    def direct(self) -> list[str]:
        """The names of the sources that initializers of the study draw from."""
        return list(dict.fromkeys(drawing["source"] for drawing in self.drawing))

    @property
    def drawing(self) -> list[dict[str, str]]:
        """The study's initializers that draw from a source.

        Of each its label as ``initializer``, the ``source``, and its ``kind``, which is the label without the source.
        """
        choices = self.study.initializers if self.study else []
        return [
            {"initializer": choice.label, "kind": choice.drawing_from(None).label, "source": source}
            for choice in choices
            if (source := self.configuration.source_of(choice))
        ]

    @property
    def transfer(self) -> dict[str, dict[str, str | None]]:
        """The study's initializers that draw from one of several sources.

        Label -> its ``kind``, the ``source``, and the dataset that this has ``seen``, if there is one.
        """
        count = Counter(drawing["kind"] for drawing in self.drawing)
        return {
            drawing["initializer"]: {
                "kind": drawing["kind"],
                "source": drawing["source"],
                "seen": self.configuration.sources[drawing["source"]].seen,
            }
            for drawing in self.drawing
            if count[drawing["kind"]] > 1
        }

    @property
    def chains(self) -> dict[str, list[str]]:
        """The chains of sources that start from each other: name of the last -> all names, from the first on."""
        lineages = {name: self.configuration.lineage(name)[::-1] for name in self}
        inner = set(chain.from_iterable(names[:-1] for names in lineages.values()))
        return {name: names for name, names in lineages.items() if len(names) > 1 and name not in inner}
