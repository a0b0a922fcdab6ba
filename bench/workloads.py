"""The workloads: build contexts that are the same bytes on every machine.

Each workload is a directory with a Dockerfile; `edit` changes one file of those in `EDITED`.
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
    "r300": "300 RUN steps in a row",
    "stages": "2,000 stages, each with a file of the one before",
    "c500k": "COPY of 500,000 small files in 500 directories",
    "one": "one RUN step",
    "l1": "one layer",
    "l60": "60 layers",
}
# What is changed for an edit.
EDITED = {"w1": "src/f1000", "w3": "src/d7/m7/f7.txt"}


def make(name: str, directory: pathlib.Path, base: str) -> None:
    """Writes a workload's context on top of the base image."""
    directory.mkdir(parents=True)
    maker = MAKERS["twenty"] if name.startswith("twenty-") else MAKERS[name]
    lines = maker(directory, base)
    (directory / "Dockerfile").write_text("\n".join(lines) + "\n")


def edit(name: str, directory: pathlib.Path, number: int) -> None:
    """Changes one file, to other content for each number."""
    (directory / EDITED[name]).write_text(f"edit {number}\n")


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


def _many_runs(_directory: pathlib.Path, base: str) -> list[str]:
    return [f"FROM {base}", *(f"RUN echo {number} > /f{number}" for number in range(300))]


def _many_stages(directory: pathlib.Path, _base: str) -> list[str]:
    (directory / "file").write_text("file\n")
    lines = ["FROM scratch AS s0", "COPY file /f0"]
    for number in range(1, 2000):
        lines += [f"FROM scratch AS s{number}", f"COPY --from=s{number - 1} /f{number - 1} /f{number}"]
    return lines


def _many_files(directory: pathlib.Path, _base: str) -> list[str]:
    for part in range(500):
        path = directory / f"src/d{part}"
        path.mkdir(parents=True)
        for number in range(1000):
            (path / f"f{number}").write_text(f"{part} {number}\n")
    return ["FROM scratch", "COPY src /src"]


def _one(_directory: pathlib.Path, base: str) -> list[str]:
    return [f"FROM {base}", "RUN echo one > /one"]


def _layers(count: int):
    """An image of so many layers, the base's being the first."""

    def make_(directory: pathlib.Path, base: str) -> list[str]:
        (directory / "file").write_text("file\n")
        return [f"FROM {base}", *(f"COPY file /f{number}" for number in range(1, count)), 'CMD ["true"]']

    return make_


def _one_of_twenty(directory: pathlib.Path, base: str) -> list[str]:
    source = random.Random(directory.name)
    (directory / "src").mkdir()
    for number in range(500):
        (directory / f"src/f{number}").write_bytes(source.randbytes(4000))
    return [f"FROM {base}", "COPY src /src", *(f"RUN cat /src/* | sha256sum > /sum{number}" for number in range(5))]


MAKERS = {
    "w1": _stages,
    "w2": _runs,
    "w3": _small_files,
    "w4": _large_file,
    "w6": _parallel,
    "t0": _nothing,
    "t50": _trues,
    "r300": _many_runs,
    "stages": _many_stages,
    "c500k": _many_files,
    "one": _one,
    "l1": _layers(1),
    "l60": _layers(60),
    "twenty": _one_of_twenty,
}
