"""
Needs: the configuration. Makes: the networks that `ansatz` compares and `evolution` follows, and the machines of `kernels`, by their
place in paths, and what rules ask about them.
"""

import difflib
from itertools import product


class Configured(dict):
    """What is configured of a kind, by its name in paths; where a target has another name, one line says so."""

    def __init__(self, kind, found=()):
        super().__init__(found)
        self.kind = kind

    def __missing__(self, name):
        near = difflib.get_close_matches(name, self, n=1, cutoff=0)
        sys.exit(f"config.{self.kind}: {name} is not configured{f'; the nearest is {near[0]}' if near else ''}")


ANSATZ = config.get("ansatz", {})
ALIGNMENT = f"{RESULTS}/ansatz"
TRAINED = f"{ALIGNMENT}/{{case}}/trained.pt"
PICTURES = Configured("pictures", {Path(str(picture)).stem: picture for picture in config["pictures"]})
EVOLUTION = Configured("evolution", config.get("evolution", {}))
EVOLVED = f"{RESULTS}/evolution"
COMPARED = ["layers", "variants"]
STAGES = ["curves", "correlation", "nfm", "filters", "outputs"]


def pretrained_cases(settings):
    """torchvision's networks: case -> what its rules need to know."""
    for weights in settings["weights"]:
        network = torchvision_network(weights)
        yield f"pretrained/{weights}", {
            "experiment": "pretrained",
            "variant": network["name"],
            "weights": FETCHED_WEIGHTS.format(weights=weights),
            "classes": 1000,
            "dataset": settings["images"],
            "seed": 0,
            "network": network,
            "images": images_of({"in_channels": 3, "image_size": settings["image_size"]}),
            "initializer": {"name": None},
            "pictures": True,
        }


def trained_cases(experiment, settings):
    """An experiment's networks, one for each combination of what varies, each dataset and seed."""
    keys = ("std", "first_std")
    initializer = {"name": settings["initializer"]} | {key: settings[key] for key in keys if settings[key]}
    for values in product(*settings["vary"].values()):
        varied = dict(zip(settings["vary"], values))
        section = settings["network"] | varied
        label = "_".join(f"{key}-{value}" for key, value in varied.items()) or section["name"]
        for dataset, seed in product(settings["datasets"], settings["seeds"]):
            case = f"{experiment}/{label}/{dataset}/seed{seed}"
            yield case, {
                "experiment": experiment,
                "variant": label,
                "weights": TRAINED.format(case=case),
                "classes": None,
                "dataset": dataset,
                "seed": seed,
                "network": network_of(section),
                "images": images_of(section),
                "initializer": initializer,
                "protocol": settings["training"],
                "pictures": not varied and seed == settings["seeds"][0],
            }


def case(key):
    """What is known of the case, as a function of the wildcards."""

    def of(wildcards):
        return CASES[wildcards.case].get(key)

    return of


def dataset_of_case(wildcards):
    """The dataset of the case."""
    return rules.prepare_dataset.output.dataset.format(dataset=CASES[wildcards.case]["dataset"])


def weights_of_case(wildcards):
    """The trained weights; none for the network that training began with, which its seed makes again."""
    return CASES[wildcards.case]["weights"] if wildcards.state == "trained" else []


def start_of_case(wildcards):
    """What the convolutions started from, where that is asked for."""
    return CASES[wildcards.case]["initializer"] if wildcards.state == "initial" else {"name": None}


def outcome_of_case(wildcards):
    """The summary of the training, where there was one."""
    return rules.train_case.output.summary if "protocol" in CASES[wildcards.case] else []


def named_picture(wildcards):
    """The picture as the configuration names it: a file, or one of the library's."""
    return PICTURES[wildcards.picture]


def file_of_picture(wildcards):
    """The picture's file, where it is the user's."""
    picture = PICTURES[wildcards.picture]
    return picture if is_file(picture) else []


def learning_cases(experiment, settings):
    """An experiment's kernel machines: path -> what its rules need to know."""
    for dataset, noise, machine, seed in product(
        images_named(settings), settings["noise"], settings["machines"], settings["seeds"]
    ):
        known = settings | {"noise": noise, "seed": seed}
        taken = ["train", "test", "seed", *TASK_OPTIONS[settings["task"]]]
        yield f"{experiment}/{dataset}/noise{level(noise)}/{machine}/seed{seed}", {
            "dataset": dataset if settings["datasets"] else None,
            "task": settings["task"],
            "images": {key: known[key] for key in taken if key != "datasets"},
            "options": {key: in_order(settings[key]) for key in MACHINE_OPTIONS[machine]},
        }


def images_named(settings):
    """How paths name the images of an experiment: by their datasets, or by the task that draws its own."""
    return settings["datasets"] or [settings["task"]]


def level(noise):
    """A level of noise as paths have it: the shortest text that is read as that number."""
    return repr(float(noise)).removesuffix(".0")


def in_order(value):
    """A mapping in the order of its keys, which changes nothing, and is to rerun nothing."""
    return dict(sorted(value.items())) if isinstance(value, dict) else value


def learning(key):
    """What is known of a machine and its task, as a function of the wildcards."""

    def of(wildcards):
        return LEARNING[LEARNER.format(**wildcards)][key]

    return of


def dataset_of_task(wildcards):
    """The dataset of the task, where it is one of a dataset's images."""
    dataset = LEARNING[LEARNER.format(**wildcards)]["dataset"]
    return rules.prepare_dataset.output.dataset.format(dataset=dataset) if dataset else []


def learn_features(settings):
    """Those machines of an experiment that learn features: by iterations, or by training."""
    return [name for name in settings["machines"] if {"iterations", "training"} & set(MACHINE_OPTIONS[name])]


def learners(wildcards):
    """What the machines that learn features have learnt of the task, from one seed."""
    names = drawn_machines(wildcards)
    return [rules.run_machine.output.learnt.format(machine=machine, **wildcards) for machine in names]


def pictured_tasks(pattern):
    """The pattern filled with every task of machines that learn features, and the first of its seeds."""
    return [
        file
        for experiment, settings in KERNELS.items()
        if learn_features(settings)
        for file in expand(
            pattern,
            experiment=experiment,
            dataset=images_named(settings),
            noise=[level(noise) for noise in settings["noise"]],
            seed=settings["seeds"][0],
        )
    ]


def drawn_machines(wildcards):
    """The machines of the experiment that learn features."""
    return learn_features(KERNELS[wildcards.experiment])


def evolving(key):
    """What the configuration says of the experiment, as a function of the wildcards."""

    def of(wildcards):
        return EVOLUTION[wildcards.experiment][key]

    return of


def dataset_of_evolution(wildcards):
    """The dataset of the experiment."""
    return rules.prepare_dataset.output.dataset.format(dataset=EVOLUTION[wildcards.experiment]["dataset"])


def evolving_network(wildcards):
    """What the experiment's network is built from."""
    return network_of(EVOLUTION[wildcards.experiment]["network"])


def evolving_images(wildcards):
    """What images it takes."""
    return images_of(EVOLUTION[wildcards.experiment]["network"])


def evolving_start(wildcards):
    """What its convolutions start from."""
    return {"name": EVOLUTION[wildcards.experiment]["initializer"]}


KERNELS = Configured("kernels", config.get("kernels", {}))
TASK_OPTIONS = SCHEMA["$defs"]["task_options"]["const"]
MACHINE_OPTIONS = SCHEMA["$defs"]["machine_options"]["const"]
SCORED = ["noise", "improvement", "layers"]
LEARNT = f"{RESULTS}/kernels"
LEARNER = "{experiment}/{dataset}/noise{noise}/{machine}/seed{seed}"
LEARNING = Configured("kernels")
for _experiment, _settings in KERNELS.items():
    LEARNING |= dict(learning_cases(_experiment, _settings))
CASES = Configured("ansatz", pretrained_cases(ANSATZ["pretrained"]) if "pretrained" in ANSATZ else ())
for _experiment, _settings in ANSATZ.get("trained", {}).items():
    CASES |= dict(trained_cases(_experiment, _settings))
PICTURED = [name for name, known in CASES.items() if known["pictures"]]
