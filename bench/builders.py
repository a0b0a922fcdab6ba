"""The builders that are compared: how each is started, asked to build, and brought back to an empty store."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

from measure import Failed, Sample, timed, timed_at_once


class Disk:
    """A journaled ext4 in a sparse file: every builder gets the same, and a fresh one for every cold run."""

    def __init__(self, directory: pathlib.Path, name: str):
        self.image = directory / f"{name}.ext4"
        self.mount = directory / name
        self.mount.mkdir(parents=True, exist_ok=True)

    def fresh(self) -> None:
        self.release()
        self.image.unlink(missing_ok=True)
        with open(self.image, "wb") as file:
            file.truncate(40 << 30)
        run(["mkfs.ext4", "-q", "-F", str(self.image)])
        run(["mount", "-o", "loop", str(self.image), str(self.mount)])

    def release(self) -> None:
        # What a killed daemon leaves behind ends a little later than the daemon.
        deadline = time.monotonic() + 20
        while os.path.ismount(self.mount):
            done = subprocess.run(["umount", str(self.mount)], capture_output=True, text=True, check=False)
            if done.returncode != 0 and time.monotonic() > deadline:
                raise SystemExit(f"{self.mount} stays mounted: {done.stderr}")
            time.sleep(0.1)

    def close(self) -> None:
        """Releases it for good."""
        self.release()
        self.image.unlink(missing_ok=True)


class Builder:
    """A builder whose store is on a disk of its own."""

    name = ""
    environment: dict[str, str] = {}
    is_rbuild = False

    def __init__(self, directory: pathlib.Path):
        self.disk = Disk(directory, self.name)

    def reset(self) -> None:
        """Brings the builder to an empty store."""
        self.stop()
        self.disk.fresh()
        self.start()

    def start(self) -> None:
        """Starts what the builder needs to run beside its command."""

    def stop(self) -> None:
        """Ends what `start` started."""

    def close(self) -> None:
        self.stop()
        self.disk.close()

    def version(self) -> str:
        raise NotImplementedError

    def build_command(self, context: pathlib.Path, tag: str = "bench") -> list[str]:
        raise NotImplementedError

    def pull_command(self, image: str) -> list[str]:
        raise NotImplementedError

    def run_command(self, command: list[str]) -> list[str]:
        """How the image that was built last runs a command, without network."""
        raise NotImplementedError

    def push_command(self, name: str, compression: str) -> list[str]:
        raise Failed(f"{self.name} does not push {compression}")

    def version_command(self) -> list[str]:
        raise NotImplementedError

    def build(self, context: pathlib.Path) -> Sample:
        """Builds a context."""
        return self._timed(self.build_command(context))

    def build_at_once(self, contexts: list[pathlib.Path]) -> Sample:
        """Builds contexts beside each other."""
        return timed_at_once([self.build_command(context, context.name) for context in contexts], self.environment)

    def build_and_push(self, context: pathlib.Path, name: str, compression: str) -> Sample:
        """Builds a context and sends the image to a registry."""
        push = self.push_command(name, compression)
        return self._timed(self.build_command(context, name)) + self._timed(push)

    def push(self, name: str, compression: str) -> Sample:
        """Sends an image that was built."""
        return self._timed(self.push_command(name, compression))

    def pull(self, image: str) -> Sample:
        """Fetches an image."""
        return self._timed(self.pull_command(image))

    def run(self, command: list[str]) -> Sample:
        """Runs a command in a container of the image that was built last."""
        return self._timed(self.run_command(command))

    def start_up(self) -> Sample:
        """Has the program tell its version."""
        return self._timed(self.version_command())

    def _timed(self, command: list[str]) -> Sample:
        return timed(command, self.environment)


class Rbuild(Builder):
    is_rbuild = True

    def __init__(self, directory: pathlib.Path, program: str, name: str = "rbuild"):
        self.name = name
        super().__init__(directory)
        self.program = [program, "--store", str(self.disk.mount)]

    def version(self) -> str:
        return run([self.program[0], "--version"]).split()[-1]

    def build_command(self, context, tag="bench"):
        return [*self.program, "build", "-q", "-t", tag, str(context)]

    def build_and_push(self, context, name, compression):
        return self._timed(self._push(context, name, compression))

    def push(self, name, compression):
        form = [] if compression == "gzip" else ["--compression", compression]
        return self._timed([*self.program, "push", "-q", *form, name])

    def _push(self, context: pathlib.Path, name: str, compression: str) -> list[str]:
        output = f"type=image,push=true,compression={compression}"
        return [*self.program, "build", "-q", "-t", name, "--output", output, str(context)]

    def pull_command(self, image):
        return [*self.program, "pull", image]

    def run_command(self, command):
        return [*self.program, "run", "--rm", "--network", "none", "bench", *command]

    def version_command(self):
        return [self.program[0], "version"]


class Buildah(Builder):
    name = "buildah"

    def _command(self, *words: str) -> list[str]:
        disk = self.disk.mount
        storage = ["--root", f"{disk}/root", "--runroot", f"{disk}/run", "--storage-driver=overlay"]
        # What it mounts goes with the namespace; on the host it would stay and hold the disk.
        return ["unshare", "--mount", "buildah", *storage, *words]

    def version(self) -> str:
        return run(["buildah", "--version"]).split()[2]

    def build_command(self, context, tag="bench"):
        # crun refuses hosts with both versions of control groups.
        words = ["bud", "-q", "--layers", "--runtime=runc", "--tls-verify=false", "--jobs=0", "-t", tag, str(context)]
        return self._command(*words)

    def push_command(self, name, compression):
        form = ["--format=oci", f"--compression-format={compression}"]
        return self._command("push", "-q", "--tls-verify=false", *form, name)

    def run_command(self, command):
        # Its containers are podman's, on the same store; podman asks for higher limits than those who measure may have.
        limits = [f"--ulimit={name}=1024:1024" for name in ("nofile", "nproc")]
        words = ["--runtime=runc", "--cgroup-manager=cgroupfs", "run", "--rm", "--network=none", *limits, "bench", *command]
        return ["podman" if word == "buildah" else word for word in self._command(*words)]

    def version_command(self):
        return ["buildah", "--version"]

    def pull_command(self, image):
        return self._command("pull", "-q", "--tls-verify=false", image)


class Docker(Builder):
    name = "docker"

    def __init__(self, directory: pathlib.Path):
        super().__init__(directory)
        self.server = None
        self.socket = f"unix://{directory}/docker.sock"
        self.environment = {"DOCKER_BUILDKIT": "1", "DOCKER_HOST": self.socket}
        # A client of another version, without BuildKit, may stand before Debian's in the search path.
        self.client = "/usr/bin/docker" if os.path.exists("/usr/bin/docker") else "docker"

    def start(self) -> None:
        disk = self.disk.mount
        isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "dockerd"]
        flags = [f"--host={self.socket}", f"--data-root={disk}/data", f"--exec-root={disk}/exec"]
        flags += [f"--pidfile={disk}/pid", "--bridge=none", "--iptables=false"]
        with open(disk / "log", "wb") as log:
            self.server = subprocess.Popen([*isolated, *flags], stdout=log, stderr=log)
        for _ in range(300):
            asked = [self.client, "version"]
            if subprocess.run(asked, env=os.environ | self.environment, capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise SystemExit(f"dockerd does not answer: see {disk}/log")

    def stop(self) -> None:
        if self.server is not None:
            self.server.send_signal(signal.SIGKILL)
            self.server.wait()
            self.server = None
            time.sleep(0.5)

    def version(self) -> str:
        return run(["dockerd", "--version"]).split()[2].rstrip(",")

    def build_command(self, context, tag="bench"):
        return [self.client, "build", "-q", "--network=host", "-t", tag, str(context)]

    def push_command(self, name, compression):
        if compression != "gzip":
            raise Failed(f"docker does not push {compression}")
        return [self.client, "push", "-q", name]

    def run_command(self, command):
        return [self.client, "run", "--rm", "--network=none", "bench", *command]

    def version_command(self):
        return [self.client, "--version"]

    def pull_command(self, image):
        return [self.client, "pull", "-q", image]


def found(directory: pathlib.Path, rbuild: str, old: str | None, names: list[str]) -> list[Builder]:
    """The builders of `names` that are on this machine; rbuild is the program that is named, and so is an older one."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    builders: list[Builder] = []
    if "rbuild" in names and os.access(rbuild, os.X_OK):
        builders.append(Rbuild(directory, rbuild))
    if old:
        builders.append(Rbuild(directory, old, "old"))
    if "docker" in names and shutil.which("dockerd", path=path):
        builders.append(Docker(directory))
    if "buildah" in names and shutil.which("buildah", path=path):
        builders.append(Buildah(directory))
    return builders


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Runs a command that must end well; gives what it printed."""
    env = os.environ | (environment or {})
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")
    return done.stdout
