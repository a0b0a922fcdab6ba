"""Runs programs and takes their time and memory."""

import dataclasses
import os
import subprocess
import tempfile
import time


class Failed(Exception):
    """A program ended badly."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """What one run took."""

    ms: float
    # The most memory that the program, or one that it started and waited for, had at a time, in MB; 0 for several programs.
    # The kernel counts what this program has among it, which a new process begins as: some 17 MB are the least it tells.
    memory: float = 0

    def __add__(self, other: "Sample") -> "Sample":
        return Sample(self.ms + other.ms, max(self.memory, other.memory))


def timed(command: list[str], environment: dict[str, str] | None = None) -> Sample:
    """Runs a command that must end well."""
    start = time.monotonic()
    running = Running(command, environment)
    memory = running.wait()
    return Sample((time.monotonic() - start) * 1000, memory)


def timed_at_once(commands: list[list[str]], environment: dict[str, str] | None = None) -> Sample:
    """Runs commands beside each other, all of which must end well."""
    start = time.monotonic()
    running = [Running(command, environment) for command in commands]
    for one in running:
        one.wait()
    return Sample((time.monotonic() - start) * 1000)


class Running:
    """A program under way."""

    def __init__(self, command: list[str], environment: dict[str, str] | None):
        self.command = command
        self.said = tempfile.TemporaryFile()
        env = os.environ | (environment or {})
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=self.said, stderr=self.said)

    def wait(self) -> float:
        """Waits for its end; gives the most memory it had, in MB."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode != 0:
            self.said.seek(0)
            raise Failed(f"`{' '.join(self.command)}` failed:\n{self.said.read().decode(errors='replace')}")
        self.said.close()
        return usage.ru_maxrss / 1024
