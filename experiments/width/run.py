"""How the light that a language model needs moves with its width, in decoders that differ in nothing else.

    python -m experiments.width run=small           # 64 to 256 wide, four seeds: made for 40 minutes
    python -m experiments.width grid=full run=full  # 64 to 512, both MLPs and scalings: days on two cores
    python -m experiments.width --help

At fixed photons per multiply, cutting one model's sums into sub-arrays changes nothing, so it says nothing
about wider models (:mod:`photonjax.evaluation.fan_in`). What is open is how the SNR that a model needs, and
the fraction of its light that is signal, move with width. Here decoders of equal depth and tokens are trained
from scratch at several widths, in standard and µP scaling (:mod:`experiments.width.scaling`), several seeds
each. Every one is put on light with shot noise alone, in each encoding, with its operands as they are,
smoothed and rotated (:mod:`experiments.width.operands`); light is shared among sites as serves it best
(:mod:`experiments.width.light`) and sought at each rise of perplexity. Writes ``results/width/<run>/``:
metrics.json, models.csv, thresholds.csv, sites.csv, alignment.csv, exponents.csv, report.txt, width.png, the
tokenizer and every decoder (network-*.npz), config and versions. An interrupted run goes on, in the middle of
a training too, when started again with the same ``run=NAME``.
"""

from __future__ import annotations

import functools
import itertools
import math
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from flax import nnx

from experiments.harness import Parts, Progress, RunDirectory, UserError, note
from experiments.harness.checkpoint import read_state, write_state
from experiments.width import operands as dressing
from experiments.width import plots, report
from experiments.width.config import Width
from experiments.width.exponents import exponents_of_alignment, exponents_of_light
from experiments.width.light import needs
from experiments.width.text import Text, load_text
from experiments.width.train import choose_rate, loss_of, new_decoder, train
from experiments.width.work import Trainings, training_flops
from photonjax.models import Decoder

Row = dict[str, Any]


class Member(NamedTuple):
    """One decoder of the grid."""

    mlp: str
    scaling: str
    width: int
    seed: int

    @property
    def name(self) -> str:
        """Of its part and its file."""
        return "-".join(map(str, self))

    def file(self, folder: pathlib.Path, kind: str = "npz") -> pathlib.Path:
        """Where it is kept, or (``begun.npz``) its training as it goes."""
        return folder / f"network-{self.name}.{kind}"


def width(config: Width) -> None:
    """The whole experiment."""
    cores = config.cores()
    work: Any
    with RunDirectory("width", config) as run:
        note(f"results: {run.path}")
        text = load_text(config, run)
        note(f"text: {text.description}")
        parts = Parts(run)
        trainings = Trainings(parts, flops(config))
        rates = choose_rates(config, text, trainings)
        models = []
        for member in members(config):
            own = shared(config, member)
            work = functools.partial(train_member, config, own, rates, text, run.path)
            row = trainings.get(f"train {own.name}", work)
            # Only now: who is killed before the result is kept goes on from here.
            own.file(run.path, "begun.npz").unlink(missing_ok=True)
            models.append(member._asdict() | row)
        found: dict[str, list[Row]] = {"models": models, "thresholds": [], "alignment": []}
        programs = [(e, o) for e in cores for o in config.grid.operands]
        curves = len(models) * (len(programs) + 1)
        with Progress("light", curves, "curves") as progress:
            for member in members(config):
                about, own = member._asdict(), shared(config, member)
                decoder = functools.cache(functools.partial(kept, config, own, run.path))
                work = functools.partial(alignments, config, decoder, text)
                rows = parts.get(f"alignment {own.name}", work, progress)
                found["alignment"] += [about | row for row in rows]
                for encoding, of in programs:
                    noise = config.seed + own.seed  # of its own, so that seeds are independent
                    work = functools.partial(
                        light_of, config, decoder, cores[encoding], of, text, noise
                    )
                    rows = parts.get(f"light {own.name} {encoding} {of}", work, progress)
                    family = about | {"encoding": encoding, "operands": of}
                    found["thresholds"] += [family | row for row in rows]
        write(config, run, found, rates, text)


def members(config: Width) -> Iterator[Member]:
    """Every decoder of the grid."""
    grid = config.grid
    for place in itertools.product(grid.mlps, grid.scalings, grid.widths, range(grid.seeds)):
        yield Member(*place)


def shared(config: Width, member: Member) -> Member:
    """The decoder that stands for this one: at the smallest width both scalings are one and the same."""
    if member.width == min(config.grid.widths):
        return member._replace(scaling=config.grid.scalings[0])
    return member


def tried(config: Width, mlp: str, scaling: str, size: int) -> Member:
    """The decoder whose learning rate this family takes, of a seed that no decoder of the grid has.

    Standard scaling is tried at every width, µP at the smallest, which is what µP is for.
    """
    at = min(config.grid.widths) if scaling == "mup" else size
    return shared(config, Member(mlp, scaling, at, config.grid.seeds))


def families(config: Width) -> Iterator[tuple[str, str, int]]:
    """MLP, scaling and width of every decoder."""
    yield from itertools.product(config.grid.mlps, config.grid.scalings, config.grid.widths)


def flops(config: Width) -> dict[str, float]:
    """What every training takes, by the name of its part; each once."""
    found = {}
    for family in families(config):
        own = tried(config, *family)
        steps = config.grid.tuning_steps
        for rate in config.rates:
            found[rate_name(own, rate)] = training_flops(config, own.mlp, own.width, steps)
    for member in members(config):
        own, steps = shared(config, member), config.grid.steps
        found[f"train {own.name}"] = training_flops(config, own.mlp, own.width, steps)
    return found


def rate_name(own: Member, rate: float) -> str:
    """Of the part that tries a learning rate."""
    return f"rate {own.mlp}-{own.scaling}-{own.width} {rate:g}"


def choose_rates(config: Width, text: Text, trainings: Trainings) -> list[Row]:
    """The learning rate of every MLP, scaling and width: the best of ``rates`` on held-out text."""
    found = []
    for family in families(config):
        own, losses = tried(config, *family), {}
        for rate in config.rates:
            work = functools.partial(tuning_loss, config, text, own, rate)
            losses[rate] = trainings.get(rate_name(own, rate), work)
        best = choose_rate(losses)
        about = dict(zip(("mlp", "scaling", "width"), family, strict=True))
        edge = len(losses) > 1 and best in (min(losses), max(losses))
        chosen = {"tuned_at": own.width, "rate": best, "at_edge": edge}
        found.append(about | chosen | {"losses": [losses[rate] for rate in config.rates]})
    return found


def tuning_loss(config: Width, text: Text, own: Member, rate: float) -> float:
    """The loss on held-out text after ``tuning_steps`` at one learning rate."""
    model, steps = new_decoder(config, *own), config.grid.tuning_steps
    train(config, model, own.scaling, text.training, rate=rate, steps=steps, seed=own.seed)
    return loss_of(model, text.tuning)


def train_member(
    config: Width, member: Member, rates: list[Row], text: Text, folder: pathlib.Path
) -> Row:
    """Train one decoder and keep it; what it became in numbers. The file of its training stays.

    Raises:
      UserError: it has diverged.
    """
    (chosen,) = (r["rate"] for r in rates if (r["mlp"], r["scaling"], r["width"]) == member[:3])
    model = train(
        config,
        new_decoder(config, *member),
        member.scaling,
        text.training,
        rate=chosen,
        steps=config.grid.steps,
        seed=member.seed,
        begun=member.file(folder, "begun.npz"),
    )
    loss = loss_of(model, text.windows)
    if not math.isfinite(loss):
        raise UserError(f"rates: {member.name} has diverged at {chosen:g}; give lower rates")
    parameters = nnx.state(model, nnx.Param)
    write_state(member.file(folder), config.grid.steps, parameters)
    count = sum(leaf.size for leaf in jax.tree.leaves(parameters))
    tokens = config.grid.steps * config.training.batch * config.text.length
    return {
        "rate": chosen,
        "parameters": count,
        "tokens": tokens,
        "passes": tokens / text.training.size,
        "tuning_loss": loss_of(model, text.tuning),
        "loss": loss,
        "perplexity": math.exp(loss),
    }


def kept(config: Width, member: Member, folder: pathlib.Path) -> Decoder:
    """A decoder that was trained.

    Raises:
      UserError: its file is gone.
    """
    file = member.file(folder)
    if not file.exists():
        raise UserError(f"run: {file} is gone; choose another name with run=NAME to train again")
    model = new_decoder(config, *member)
    nnx.update(model, read_state(file, nnx.state(model, nnx.Param))[1])
    return model


def alignments(config: Width, decoder: Any, text: Text) -> list[Row]:
    """The alignment of every product of a decoder, with each kind of operands."""
    products = dressing.products_of(decoder(), text.calibration)
    rows: list[Row] = []
    for of in config.grid.operands:
        turned = dressing.turns(of, products, config.smoothing)
        rows += [{"operands": of} | row for row in dressing.alignment(products, turned)]
    return rows


def light_of(config: Width, decoder: Any, core: Any, of: str, text: Text, seed: int) -> list[Row]:
    """What a decoder needs in one encoding, with one kind of operands."""
    model = decoder()
    products = dressing.products_of(model, text.calibration)
    dressed = dressing.dress(model, products, dressing.turns(of, products, config.smoothing))
    return needs(config, dressed, core, text.windows, seed)


def write(
    config: Width, run: RunDirectory, found: dict[str, list[Row]], rates: list[Row], text: Text
) -> None:
    """All files."""
    thresholds = [{k: v for k, v in r.items() if k != "sites"} for r in found["thresholds"]]
    names = ("mlp", "scaling", "width", "seed", "encoding", "operands", "target_percent")
    sites = [
        {name: r[name] for name in names} | site
        for r in found["thresholds"]
        for site in r["sites"] or []
    ]
    of_light, of_alignment = (
        exponents_of_light(thresholds),
        exponents_of_alignment(found["alignment"]),
    )
    results = {
        "about": text.description,
        "training_tokens": text.training.size,
        "rates": rates,
        "models": found["models"],
        "thresholds": thresholds,
        "alignment": found["alignment"],
        "exponents": of_light,
        "alignment_exponents": of_alignment,
    }
    run.write_csv("models.csv", found["models"])
    run.write_csv("thresholds.csv", thresholds)
    run.write_csv("sites.csv", sites)
    run.write_csv("alignment.csv", found["alignment"])
    run.write_csv("exponents.csv", of_light)
    run.write_plot("width.png", plots.draw(results))
    readable = report.readable(results, config)
    run.write("report.txt", readable + "\n")
    run.write_json("metrics.json", results)
    print(f"\n{readable}\n\nwritten to {run.path}")
