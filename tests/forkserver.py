"""Python programs without their start: they are forked from a process that has imported the packages they need.

`run` is for tests. `python forkserver.py` is that process, one for all processes of a test run. A forked Snakemake has
its scripts run in forks of it as well.

Only packages of others are imported beforehand: a program imports the library of the clone it runs in. The server
computes nothing and has no threads, so that its forks may have some. Three things are not as a user has them, and are
for tests that start the command itself: an import that is missing may be there already, Snakemake does not measure the
memory of scripts, and the libraries of the page are bundled once.
"""

import atexit
import fcntl
import gc
import json
import os
import runpy
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path

ADDRESS = "ANSATZ_FORKSERVER"  # the variable that tells a forked Snakemake's scripts
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PACKAGES = (
    # of Snakemake, with what it imports on its way
    "snakemake.cli",
    "snakemake.profiles",
    "snakemake.report.html_reporter",
    "pydantic",
    "nbformat",
    "requests",
    "smart_open",
    # of the scripts
    "altair",
    "torch",
    "torchvision",
    "h5py",
    "jinja2",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "matplotlib.pyplot",
    "pandas",
    "scipy.io",
    "scipy.stats",
    "sklearn.datasets",
    "vl_convert",
)


def run(arguments, folder):
    """Run a program in a fork: `snakemake`, `-c` or a script, with its arguments.

    Returns
    -------
    subprocess.CompletedProcess
        With its output and its errors in `stdout`.
    """
    address = start()
    environment = user_environment() | {ADDRESS: address}
    with tempfile.TemporaryFile("w+") as output:
        status = request(address, arguments, folder, environment, output.fileno())
        output.seek(0)
        return subprocess.CompletedProcess(arguments, status, output.read())


def user_environment():
    """Return the environment in which `snakemake` is found, as in a user's shell."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def start():
    """Return the server's address, after starting it if no process of this test run has."""
    folder = Path(tempfile.gettempdir(), f"ansatz-{RUN}")
    folder.mkdir(exist_ok=True)
    address, own = folder / "socket", folder / str(os.getpid())
    if not address.exists():
        with socket.socket(socket.AF_UNIX) as listener, suppress(FileExistsError):
            listener.bind(str(own))
            listener.listen(64)  # who connects from now on waits for the imports
            os.link(own, address)  # one process wins
            owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
            command = [sys.executable, __file__, str(listener.fileno()), str(owner)]
            environment = os.environ | ONE_THREAD
            subprocess.Popen(command, env=environment, pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL)
    return str(address)


def request(address, arguments, folder, environment, output):
    """Have a program run in a fork, and wait for its exit status; negative for a signal."""
    asked = {"arguments": arguments, "folder": str(folder), "environment": environment}
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rw") as lines:
        connection.connect(address)
        socket.send_fds(connection, [b"."], [output])
        print(json.dumps(asked), file=lines, flush=True)
        return int(lines.readline())


def serve(descriptor, owner):
    """Fork for each request until the owner has ended; return the program's arguments in each fork."""
    listener = socket.socket(fileno=int(descriptor))
    folder = Path(listener.getsockname()).parent
    for package in PACKAGES:
        import_module(package)
    sys.modules["snakemake.cli"].get_argument_parser()  # it finds Snakemake's plugins, once for all forks
    vl_convert = sys.modules["vl_convert"]
    vl_convert.javascript_bundle = partial(kept, folder / "bundle.js", vl_convert.javascript_bundle)
    gc.collect()
    gc.freeze()  # what a fork's collections leave alone is not copied
    listener.settimeout(0.02)
    running = {}
    while Path("/proc", owner).exists():
        with suppress(TimeoutError):
            connection, _ = listener.accept()
            process = os.fork()
            if not process:
                for other in (listener, *running.values()):
                    other.close()
                return become(connection)
            running[process] = connection
        while running and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            process, status = ended
            with running.pop(process) as connection, suppress(BrokenPipeError):
                connection.send(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    shutil.rmtree(folder)
    sys.exit()


def kept(file, make):
    """Return the text that the first fork has made; it takes seconds."""
    with open(f"{file}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            file.write_text(make(), encoding="utf-8")
        return file.read_text(encoding="utf-8")


def become(connection):
    """Take over what a program inherits from who starts it; return its arguments."""
    with connection, connection.makefile() as lines:
        _, (output,), *_ = socket.recv_fds(connection, 1, 1)
        asked = json.loads(lines.readline())
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    return asked["arguments"]


def execute(program, *arguments):
    """Be a program that was started."""
    sys.argv = [program, *arguments]
    if program == "snakemake":
        from snakemake import cli, script

        script.PythonScript.execute_script = execute_script
        sys.path[0] = str(Path(sys.executable).parent)
        cli.main(arguments)
    elif program == "-c":
        sys.path[0] = ""
        exec(*arguments, {"__name__": "__main__"})
    else:
        sys.path[0] = str(Path(program).parent)
        runpy.run_path(program, run_name="__main__")


def execute_script(script, file, edit=False):
    """Run a script in a fork of the server, where Snakemake would start Python; only its time is measured."""
    began = time.monotonic()
    status = request(os.environ[ADDRESS], [file], Path.cwd(), dict(os.environ), output=1)
    if record := script.bench_record:
        record.running_time, record.process_gone = time.monotonic() - began, True
    if status:
        raise subprocess.CalledProcessError(status, file)


def finish(program, *arguments):
    """Call a program's function; return its exit status as an interpreter ends, but for freeing its memory."""
    try:
        program(*arguments)
        status = 0
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status if isinstance(status, int) else int(status is not None)


if __name__ == "__main__":
    os._exit(finish(execute, *serve(*sys.argv[1:])))
