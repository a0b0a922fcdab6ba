"""The workloads: build contexts that are the same bytes on every machine.

Each workload is a directory with a Dockerfile; `edit`, where there is one, changes one file of it.
"""

import pathlib
import random

WHAT = {
    "w1": "24 steps in 3 stages, 2,000 files",
    "w2": "50 RUN steps in a row",
    "w3": "COPY of 50,000 files, 225 MB",
    "w4": "COPY of one 512 MB file",
    "w6": "8 stages, each sleeping 1 s",
    "t0": "no step at all",
    "t50": "50 times RUN true",
}


def make(name: str, directory: pathlib.Path, base: str) -> None:
    """Writes a workload's context on top of the base image."""
    directory.mkdir(parents=True)
    lines = MAKERS[name](directory, base)
    (directory / "Dockerfile").write_text("\n".join(lines) + "\n")


def edit(name: str, directory: pathlib.Path, round_: int) -> bool:
    """Changes one file, to other content in each round; false for a workload that has no file to change."""
    changed = {"w1": "src/f1000", "w3": "src/d7/m7/f7.txt"}.get(name)
    if changed is None:
        return False
    (directory / changed).write_text(f"edit {round_}\n")
    return True


def _stages(directory: pathlib.Path, base: str) -> list[str]:
    (directory / "src").mkdir()
    for number in range(1, 2001):
        (directory / f"src/f{number}").write_text(f"{number}\n")
    return [
        f"FROM {base} AS a",
        "WORKDIR /w",
        "COPY src /w/src",
        *(f"RUN echo {number} > /w/o{number}" for number in range(1, 11)),
        f"FROM {base} AS b",
        *(f"RUN echo b{number} > /p{number}" for number in range(1, 11)),
        f"FROM {base}",
        "COPY --from=a /w /w",
        "COPY --from=b /p1 /p1",
        'ENTRYPOINT ["sh"]',
    ]


def _runs(_directory: pathlib.Path, base: str) -> list[str]:
    return [f"FROM {base}", *(f"RUN echo {number} > /f{number}" for number in range(1, 51))]


def _small_files(directory: pathlib.Path, base: str) -> list[str]:
    source = random.Random(7)
    for part in range(500):
        path = directory / f"src/d{part % 25}/m{part}"
        path.mkdir(parents=True)
        for number in range(100):
            size = source.choice([300, 900, 2000, 4000, 12000])
            (path / f"f{number}.txt").write_bytes(source.randbytes(size))
    return [f"FROM {base}", "COPY src /app", 'CMD ["sh"]']


def _large_file(directory: pathlib.Path, base: str) -> list[str]:
    source = random.Random(3)
    words = [source.randbytes(source.randint(4, 40)) for _ in range(4000)]
    written = 0
    with open(directory / "big", "wb") as file:
        while written < 512 << 20:
            written += file.write(b"".join(source.choices(words, k=20000)))
    return [f"FROM {base}", "COPY big /big"]


def _parallel(_directory: pathlib.Path, base: str) -> list[str]:
    lines = []
    for number in range(1, 9):
        lines += [f"FROM {base} AS s{number}", f"RUN sleep 1; echo {number} > /r{number}"]
    return [*lines, f"FROM {base}", *(f"COPY --from=s{number} /r{number} /r{number}" for number in range(1, 9))]


def _nothing(_directory: pathlib.Path, base: str) -> list[str]:
    return [f"FROM {base}", "LABEL measured=nothing"]


def _trues(_directory: pathlib.Path, base: str) -> list[str]:
    return [f"FROM {base}", *["RUN true"] * 50]


MAKERS = {
    "w1": _stages,
    "w2": _runs,
    "w3": _small_files,
    "w4": _large_file,
    "w6": _parallel,
    "t0": _nothing,
    "t50": _trues,
}
