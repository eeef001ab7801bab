"""
Needs: the configuration. Makes: the plan of all cases, and what all rules share.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir).parent / "scripts"))

from ansatz.gpus import count_gpus
from ansatz.reporting.figures import catalogue
from ansatz.workflow.closure import definitions, library
from ansatz.workflow.environment import set_environment
from ansatz.workflow.inputs import DatasetInputs, PictureInputs, configured, growing, record, refuse_ambiguous, section
from ansatz.workflow.machines import MachineInputs

DEFAULT = "config/config.yaml"
refuse_ambiguous(workflow.overwrite_configfiles or [DEFAULT])

# A file given with --configfile stands alone: it takes nothing from the default one.
if not workflow.overwrite_configfiles:

    configfile: DEFAULT


PLAN = configured(config, workflow.config_settings.config, workflow.configfiles, thorough=workflow.is_main_process)
CONFIG, RESULTS, LOGS = PLAN.configuration, PLAN.results, f"{PLAN.results}/logs"
TORCH, TABLES = "../../envs/torch.yaml", "../../envs/tables.yaml"
DEVICE = {"name": CONFIG.device, "deterministic": CONFIG.deterministic}
GPU = 0 if CONFIG.device == "cpu" else 1

set_environment(CONFIG.gpu_slots)

# As many jobs at once as the GPUs of this machine have slots, unless --resources gpu=... says otherwise.
if "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", max(1, count_gpus()) * CONFIG.gpu_slots)


def chosen_rate(wildcards):
    """Return the file of a training's learning rate, once it is chosen; nothing where the configuration sets the rate."""
    tuning = PLAN.trainings.of("tuning")(wildcards)
    return checkpoints.choose_learning_rate.get(tuning=tuning).output.chosen if tuning else []


wildcard_constraints:
    dataset="[A-Za-z0-9_-]+",
    weights="[A-Za-z0-9_.]+",
    figure="[a-z0-9_]+",
    seed="[0-9]+",
