"""How the light that a language model needs moves with its width, in decoders that differ in nothing else.

    python -m experiments.width                     # widths 64, 128, 256: about half an hour on two cores
    python -m experiments.width grid=full run=full  # 64 to 512, both MLPs, five seeds: a machine of its own
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
from experiments.width.light import needs, on_light
from experiments.width.text import Text, load_text
from experiments.width.train import choose_rate, loss_of, new_decoder, train
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


def width(config: Width) -> None:
    """The whole experiment."""
    cores = config.cores()
    work: Any
    with RunDirectory("width", config) as run:
        note(f"results: {run.path}")
        text = load_text(config, run)
        note(f"text: {text.description}")
        parts = Parts(run)
        rates = choose_rates(config, text, parts)
        grid = list(members(config))
        models = []
        for i, member in enumerate(grid):
            note(f"decoder {i + 1} of {len(grid)}: {member.name}")
            work = functools.partial(train_member, config, member, rates, text, run.path)
            models.append(parts.get(f"train {member.name}", work))
        found: dict[str, list[Row]] = {"models": models, "thresholds": [], "alignment": []}
        programs = [(e, o) for e in cores for o in config.operands]
        with Progress("light", len(grid) * (len(programs) + 1), "curves") as progress:
            for member in grid:
                about = member._asdict()
                decoder = functools.cache(functools.partial(kept, config, member, run.path))
                work = functools.partial(alignments, config, decoder, text)
                rows = parts.get(f"alignment {member.name}", work, progress)
                found["alignment"] += [about | row for row in rows]
                for encoding, of in programs:
                    work = functools.partial(light_of, config, decoder, cores[encoding], of, text)
                    rows = parts.get(f"light {member.name} {encoding} {of}", work, progress)
                    family = about | {"encoding": encoding, "operands": of}
                    found["thresholds"] += [family | row for row in rows]
        write(config, run, found, rates, text)


def members(config: Width) -> Iterator[Member]:
    """Every decoder of the grid."""
    grid = config.grid
    for place in itertools.product(grid.mlps, grid.scalings, grid.widths, range(grid.seeds)):
        yield Member(*place)


def choose_rates(config: Width, text: Text, parts: Parts) -> list[Row]:
    """The learning rate of every MLP, scaling and width: the best of ``rates`` on held-out text.

    For standard scaling at every width, for µP at the smallest, which is what µP is for. All with a seed that
    no decoder of the grid has, and ``tuning_steps``.
    """
    grid, found = config.grid, []
    for mlp, scaling, size in itertools.product(grid.mlps, grid.scalings, grid.widths):
        at = min(grid.widths) if scaling == "mup" else size
        losses = {}
        for rate in config.rates:
            work = functools.partial(tuning_loss, config, text, mlp, scaling, at, rate)
            losses[rate] = parts.get(f"rate {mlp}-{scaling}-{at} {rate:g}", work)
        best = choose_rate(losses)
        family = {"mlp": mlp, "scaling": scaling, "width": size, "tuned_at": at, "rate": best}
        edge = len(losses) > 1 and best in (min(losses), max(losses))
        found.append(family | {"at_edge": edge, "losses": [losses[rate] for rate in config.rates]})
    return found


def tuning_loss(config: Width, text: Text, mlp: str, scaling: str, at: int, rate: float) -> float:
    """The loss on held-out text after ``tuning_steps`` at one learning rate."""
    seed, steps = config.grid.seeds, config.grid.tuning_steps
    model = new_decoder(config, mlp, scaling, at, seed)
    train(config, model, scaling, text.training, rate=rate, steps=steps, seed=seed)
    return loss_of(model, text.tuning)


def train_member(
    config: Width, member: Member, rates: list[Row], text: Text, folder: pathlib.Path
) -> Row:
    """Train one decoder and keep it; what it became in numbers.

    Raises:
      UserError: it has diverged.
    """
    (chosen,) = (r["rate"] for r in rates if (r["mlp"], r["scaling"], r["width"]) == member[:3])
    begun = folder / f"network-{member.name}.begun.npz"
    model = train(
        config,
        new_decoder(config, *member),
        member.scaling,
        text.training,
        rate=chosen,
        steps=config.grid.steps,
        seed=member.seed,
        begun=begun,
    )
    loss = loss_of(model, text.windows)
    if not math.isfinite(loss):
        raise UserError(f"rates: {member.name} has diverged at {chosen:g}; give lower rates")
    parameters = nnx.state(model, nnx.Param)
    write_state(folder / f"network-{member.name}.npz", config.grid.steps, parameters)
    begun.unlink(missing_ok=True)
    count = sum(leaf.size for leaf in jax.tree.leaves(parameters))
    tokens = config.grid.steps * config.training.batch * config.text.length
    return member._asdict() | {
        "rate": chosen,
        "parameters": count,
        "tokens": tokens,
        "tuning_loss": loss_of(model, text.tuning),
        "loss": loss,
        "perplexity": math.exp(loss),
    }


def kept(config: Width, member: Member, folder: pathlib.Path) -> Decoder:
    """A decoder that was trained.

    Raises:
      UserError: its file is gone.
    """
    file = folder / f"network-{member.name}.npz"
    if not file.exists():
        raise UserError(f"run: {file} is gone; choose another name with run=NAME to train again")
    model = new_decoder(config, *member)
    nnx.update(model, read_state(file, nnx.state(model, nnx.Param))[1])
    return model


def alignments(config: Width, decoder: Any, text: Text) -> list[Row]:
    """The alignment of every product of a decoder, with each kind of operands."""
    products = dressing.products_of(decoder(), text.calibration)
    rows: list[Row] = []
    for of in config.operands:
        turned = dressing.turns(of, products, config.smoothing)
        rows += [{"operands": of} | row for row in dressing.alignment(products, turned)]
    return rows


def light_of(config: Width, decoder: Any, core: Any, of: str, text: Text) -> list[Row]:
    """What a decoder needs in one encoding, with one kind of operands."""
    model = decoder()
    products = dressing.products_of(model, text.calibration)
    dressed = dressing.dress(model, products, dressing.turns(of, products, config.smoothing))
    return needs(config, on_light(dressed, core), core, text.windows)


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
