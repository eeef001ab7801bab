"""
Needs: features.h5 of the sources that the study draws from, at its first seed, and the tables of the study. Makes: which of
their layers the network draws from, spectra of their feature matrices, how these correlate between sources and, for chains of
sources, what changes over generations.
"""

from ansatz.workflow.sources import SourceInputs

SOURCES = SourceInputs(PLAN)


rule match_layers:
    input:
        features=lambda wildcards: SOURCES[wildcards.source],
        library=library("match_layers.py"),
        definitions=definitions("match_layers.py", [("network", CONFIG.study_network.name)]),
    output:
        table=f"{RESULTS}/sources/{{source}}/matching.md",
    log:
        f"{LOGS}/match_layers/{{source}}.log",
    wildcard_constraints:
        source="|".join(SOURCES.direct) or "(?!)",  # which nothing matches
    conda:
        TORCH
    params:
        network=CONFIG.study_network.builder,
        matching=lambda wildcards: PLAN.matching_of(wildcards.source, CONFIG.study_network),
    message:
        "Match the layers of the network with those of {wildcards.source}"
    script:
        "../../scripts/match_layers.py"


rule describe_sources:
    input:
        features=list(SOURCES.values()),
        library=library("describe_sources.py"),
    output:
        spectra=f"{RESULTS}/sources/spectra.csv",
        alignment=f"{RESULTS}/sources/alignment.csv",
    log:
        f"{LOGS}/describe_sources.log",
    conda:
        TORCH
    resources:
        mem_mb=growing(8000),
    params:
        names=list(SOURCES),
    message:
        "Describe and compare the feature matrices of the sources"
    script:
        "../../scripts/describe_sources.py"


rule tabulate_generations:
    input:
        spectra=rules.describe_sources.output.spectra,
        alignment=rules.describe_sources.output.alignment,
        runs=lambda wildcards: rules.gather_runs.output.runs,
        speed=lambda wildcards: rules.tabulate_speed.output.csv,
        library=library("tabulate_generations.py"),
    output:
        learned=f"{RESULTS}/sources/generations_learned.csv",
        features=f"{RESULTS}/sources/generations_features.csv",
    log:
        f"{LOGS}/tabulate_generations.log",
    conda:
        TABLES
    params:
        chains=SOURCES.chains,
        drawing=SOURCES.drawing,
    message:
        "Make the tables of the generations of sources"
    script:
        "../../scripts/tabulate_generations.py"


OF_SOURCES = {
    **({"spectra": [rules.describe_sources.output.spectra]} if SOURCES else {}),
    **({"alignment": [rules.describe_sources.output.alignment]} if len(SOURCES) > 1 else {}),
    **({"generations": list(rules.tabulate_generations.output)} if SOURCES.chains else {}),
}  # figure -> its tables


rule draw_sources:
    input:
        tables=lambda wildcards: OF_SOURCES[wildcards.figure],
        library=library("draw_sources.py"),
    output:
        png=f"{RESULTS}/sources/figures/{{figure}}.png",
        vector=report(
            f"{RESULTS}/sources/figures/{{figure}}.{CONFIG.figures.vector}",
            caption="../report/sources.rst",
            category="Initialization",
            labels={"what": "sources: {figure}"},
        ),
    log:
        f"{LOGS}/draw_sources/{{figure}}.log",
    wildcard_constraints:
        figure="|".join(OF_SOURCES),
    conda:
        TABLES
    params:
        style=CONFIG.figures.style,
    message:
        "Draw {wildcards.figure} of the sources"
    script:
        "../../scripts/draw_sources.py"
