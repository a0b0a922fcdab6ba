"""What is measured: each case has variants, and each variant is one figure for each builder."""

import dataclasses
import os
import pathlib
import time
from collections.abc import Callable

import workloads
from builders import Builder
from measure import Sample

# How many builds go at once.
TWENTY = 20
# Short runs are repeated this many times as often as the others.
OFTEN = 10


@dataclasses.dataclass(frozen=True)
class Variant:
    """One figure: what is run for it, given the builder and the number of the round."""

    name: str
    run: Callable[[Builder, int], Sample]
    times: int = 1


@dataclasses.dataclass(frozen=True)
class Case:
    """Variants that are measured in this order: the later ones find what the earlier ones left."""

    what: str
    variants: list[Variant]
    # Others cannot do it, or it would take them hours.
    alone: bool = False


@dataclasses.dataclass(frozen=True)
class Places:
    """Where contexts and images are."""

    contexts: pathlib.Path
    # Host and port of the registry with the base images, and of the one that is pushed to.
    bases: str
    pushed: str

    @property
    def base(self) -> str:
        return f"{self.bases}/library/busybox:latest"

    def context(self, name: str) -> pathlib.Path:
        """A workload's context, made when it is first wanted."""
        path = self.contexts / name
        if not path.exists():
            workloads.make(name, path, self.base)
        return path


BUILDS = ["w1", "w2", "w3", "w4", "w6"]
ALONE = ["r300", "stages", "c500k"]
NAMES = [
    *BUILDS,
    "run-true",
    "pull",
    "push-w3",
    "push-w4",
    "run-1",
    "run-60",
    *ALONE,
    "twenty",
    "version",
    "one",
]


def case(name: str, places: Places) -> Case:
    """The case of a name."""
    if name in BUILDS or name in ALONE:
        return build(name, places)
    if name.startswith("push-"):
        return push(name.removeprefix("push-"), places)
    if name.startswith("run-") and name != "run-true":
        return run(name.removeprefix("run-"), places)
    others = {"run-true": run_true, "pull": pull, "twenty": twenty, "version": version, "one": one}
    if name not in others:
        raise SystemExit(f"there is no case `{name}`; there are {', '.join(NAMES)}")
    return others[name](places)


def emptied(builder: Builder, places: Places) -> None:
    """Brings a builder to a store with nothing but the base image."""
    builder.reset()
    os.sync()
    builder.pull(places.base)


def build(name: str, places: Places) -> Case:
    context = places.context(name)

    def cold(builder, _round):
        emptied(builder, places)
        return builder.build(context)

    def edit(builder, _round):
        # Another number each time, for a builder that has seen this one would have it in its cache.
        workloads.edit(name, context, time.monotonic_ns())
        return builder.build(context)

    variants = [Variant("cold", cold), Variant("warm", lambda builder, _: builder.build(context))]
    if name in workloads.EDITED:
        variants.append(Variant("edit", edit))
    return Case(workloads.WHAT[name], variants, alone=name in ALONE)


def run_true(places: Places) -> Case:
    empty, full = places.context("t0"), places.context("t50")

    def each(builder, _round):
        emptied(builder, places)
        less, more = builder.build(empty), builder.build(full)
        return Sample((more.ms - less.ms) / 50, more.memory)

    return Case("RUN true", [Variant("each", each)])


def pull(places: Places) -> Case:
    def cold(builder, _round):
        builder.reset()
        os.sync()
        return builder.pull(f"{places.bases}/library/debian:bookworm")

    return Case("debian, 50 MB compressed", [Variant("cold", cold)])


def push(name: str, places: Places) -> Case:
    context = places.context(name)
    variants = []
    for compression in ("gzip", "zstd"):
        # A builder pushes again what it pushed last.
        last: dict[str, str] = {}

        def cold(builder, _round, compression=compression, last=last):
            # The registry must not have it: a repository has only what was pushed to it.
            last[builder.name] = f"{places.pushed}/{builder.name}/{name}-{compression}-{time.monotonic_ns()}"
            emptied(builder, places)
            return builder.build_and_push(context, last[builder.name], compression)

        def again(builder, _round, compression=compression, last=last):
            return builder.push(last[builder.name], compression)

        variants += [Variant(f"{compression} cold", cold), Variant(f"{compression} unchanged", again)]
    return Case(f"build and push, {workloads.WHAT[name]}", variants)


def run(layers: str, places: Places) -> Case:
    context = places.context(f"l{layers}")
    ready: set[str] = set()

    def true(builder, _round):
        if builder.name not in ready:
            emptied(builder, places)
            builder.build(context)
            ready.add(builder.name)
        return builder.run(["true"])

    return Case(f"a container of an image of {layers} layers runs `true`", [Variant("run", true, OFTEN)])


def twenty(places: Places) -> Case:
    contexts = [places.context(f"twenty-{number}") for number in range(TWENTY)]

    def in_a_row(builder, _round):
        emptied(builder, places)
        return sum((builder.build(context) for context in contexts), Sample(0))

    def at_once(builder, _round):
        emptied(builder, places)
        return builder.build_at_once(contexts)

    what = f"{TWENTY} builds of different contexts on one store"
    return Case(what, [Variant("in a row", in_a_row), Variant("at once", at_once)])


def version(_places: Places) -> Case:
    return Case("the program tells its version", [Variant("version", lambda builder, _: builder.start_up(), OFTEN)])


def one(places: Places) -> Case:
    context = places.context("one")
    ready: set[str] = set()

    def warm(builder, _round):
        if builder.name not in ready:
            emptied(builder, places)
            builder.build(context)
            ready.add(builder.name)
        return builder.build(context)

    return Case(workloads.WHAT["one"], [Variant("warm", warm, OFTEN)])
