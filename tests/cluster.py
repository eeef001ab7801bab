"""A Slurm of one node, with GPUs that only Slurm believes in, for as long as tests run; as root, without systemd."""

import os
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "squeue", "srun", "scontrol", "sinfo", "scancel")
# The executor's job step removes SLURM_CONF from its environment before it calls srun, which then looks here.
SYSTEM_CONF = Path("/etc/slurm/slurm.conf")
CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=26817
SlurmdPort=26818
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
# no cgroups: processes are found by their session, and their memory is sampled
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
MpiDefault=none
SwitchType=switch/none
# ended jobs are asked about at the end, by default forgotten after five minutes
MinJobAge=36000
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,bf_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
# what no node can give is refused at once
EnforcePartLimits=ALL
ReturnToService=2
KillWait=2
SlurmdTimeout=30
# what the node has is what is written here, whatever the machine has
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=64000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=tests Nodes={host} Default=YES MaxTime=2880 DefaultTime=10 State=UP
"""


def obstacle():
    """Return why there can be no cluster here, or None."""
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        return f"Slurm is not installed: no {', '.join(missing)}"
    if os.geteuid() != 0:
        return "a cluster of one's own takes root"
    if SYSTEM_CONF.exists():
        return f"there is a Slurm here already: {SYSTEM_CONF}"
    return None


class Cluster:
    """Started and stopped as a context.

    Parameters
    ----------
    folder : Path
        Of its state and logs; its path is to be short, as sockets' are.
    gpus : int
    """

    def __init__(self, folder, gpus):
        self.folder, self.daemons = folder, []
        self.host = socket.gethostname().partition(".")[0]
        self.conf = folder / "slurm.conf"
        self.conf.write_text(CONF.format(host=self.host, folder=folder, cpus=os.cpu_count(), gpus=gpus))
        lines = []
        for number in range(gpus):
            device = folder / f"gpu{number}"
            os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))  # as /dev/null
            lines.append(f"NodeName={self.host} Name=gpu File={device}\n")
        (folder / "gres.conf").write_text("".join(lines))
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        for name in ("state", "spool"):
            (folder / name).mkdir()

    def __enter__(self):
        os.environ["SLURM_CONF"] = str(self.conf)
        SYSTEM_CONF.parent.mkdir(exist_ok=True)
        SYSTEM_CONF.unlink(missing_ok=True)  # a link to nothing, which a killed run left
        SYSTEM_CONF.symlink_to(self.conf)
        key, socket_ = self.folder / "munge.key", self.folder / "munge.socket"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        files = [f"--{name}-file={self.folder / f'munged.{name}'}" for name in ("pid", "log", "seed")]
        try:
            self._start("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={socket_}", *files)
            self._wait(lambda: self._succeeds("munge", "--socket", socket_, "--no-input"))
            self._start("slurmctld", "-D", "-c", "-f", self.conf)
            self._start("slurmd", "-D", "-f", self.conf, "-N", self.host)
            self._wait(lambda: self._succeeds("sinfo") and "idle" in self.asked("sinfo", "--noheader", "--format=%T"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._succeeds("sinfo"):
            subprocess.run(["scancel", "--me", "--full", "--signal=KILL"], check=False)
            subprocess.run(["scancel", "--me"], check=False)
            self._wait(lambda: not self.asked("squeue", "--noheader"))
        for daemon in reversed(self.daemons):
            daemon.terminate()
            daemon.wait(timeout=30)
        SYSTEM_CONF.unlink(missing_ok=True)
        os.environ.pop("SLURM_CONF")

    def asked(self, *command):
        """Return what a command of Slurm prints."""
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def jobs(self):
        """Return all jobs, also those that ended: id -> what scontrol says of it."""
        lines = self.asked("scontrol", "show", "jobs", "--oneliner").splitlines()
        found = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
        return {int(job["JobId"]): job for job in found if "JobId" in job}

    def _start(self, program, *arguments):
        with open(self.folder / f"{program}.log", "w") as log:
            self.daemons.append(subprocess.Popen([program, *map(str, arguments)], stdout=log, stderr=log))

    def _succeeds(self, *command):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.run([*map(str, command)], check=False, timeout=10, **quiet).returncode == 0

    def _wait(self, until, seconds=60):
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end or any(daemon.poll() is not None for daemon in self.daemons):
                logs = "\n".join(f"{log}:\n{log.read_text()[-2000:]}" for log in self.folder.glob("*.log"))
                raise RuntimeError(f"the cluster did not come up or down\n{logs}")
            time.sleep(0.1)


def short_folder(name):
    """Make a folder whose path is short enough for a socket in it."""
    return Path(tempfile.mkdtemp(prefix=name, dir="/tmp"))
