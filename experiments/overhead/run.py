"""What it costs not to write optical layers by hand: time of converted models, and of tracing.

    python -m experiments.overhead
    python -m experiments.overhead repeats=101 trace.layers=null

One small transformer, three times: as Flax NNX modules, as Flax Linen modules, as a function. Each is written
with optical products by hand, and written digitally and converted: by ``pj.convert``, by
``pj.linen.Optical``, by ``pj.optical``. All run in turn, in an order that changes from round to round;
the ratio is the median over rounds. Operations are XLA's count for the compiled program: they do not
depend on what else the machine does. Tracing is of ``pj.optical`` on layers run by a scan, from shapes
alone. Writes ``results/overhead/<run>/``: models.csv, metrics.json, report.txt.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import photonjax as pj
from experiments.harness import Parts, RunDirectory
from experiments.harness.cores import make_core
from experiments.overhead.config import Overhead
from experiments.overhead.models import (
    EVERYTHING,
    LAST_BY_FIRST,
    block,
    function_pair,
    linen_pair,
    nnx_pair,
    widths,
)
from photonjax.tables import text_table


def overhead(config: Overhead) -> None:
    """The whole experiment."""
    core = make_core(config.core)
    trace, stack = dataclasses.asdict(config.trace), dataclasses.asdict(config.stack)
    with RunDirectory("overhead", config) as run:
        kept = Parts(run)
        tracing = kept.get("tracing", lambda: trace_rows(core, **trace) if trace["layers"] else [])
        rows = kept.get("models", lambda: model_rows(core, config.repeats, **stack))
        write(run, config, rows, tracing)


def write(
    run: RunDirectory, config: Overhead, rows: list[dict[str, Any]], tracing: list[dict[str, Any]]
) -> None:
    """All results; metrics.json last, since it marks the run as finished."""
    parts = [f"jax {jax.__version__}, {config.repeats} rounds", text_table(shown(rows))]
    if tracing:
        parts.append(text_table(shown(tracing)))
    report = "\n\n".join(parts)
    run.write_csv("models.csv", rows)
    run.write("report.txt", report + "\n")
    run.write_json("metrics.json", {"models": rows, "tracing": tracing})
    print(f"\n{report}\n\nwritten to {run.path}")


def shown(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Rows with their numbers as text."""
    return [
        {name: f"{v:.3f}" if isinstance(v, float) else str(v) for name, v in row.items()}
        for row in rows
    ]


# Six ways ---------------------------------------------------------------------------------------


def model_rows(
    core: pj.OpticalCore, repeats: int, *, layers: int, width: int, heads: int, tokens: int
) -> list[dict[str, Any]]:
    """Each converted model beside the same one by hand."""
    x = jax.random.normal(jax.random.key(0), (tokens, width))
    pairs = {
        "nnx, pj.convert": nnx_pair(core, layers, width, heads),
        "linen, Optical": linen_pair(core, layers, width, heads, x),
        "function, pj.optical": function_pair(core, layers, width, heads),
    }
    compiled = {}
    for name, pair in pairs.items():
        for kind, (run, state) in zip(("by hand", "converted"), pair, strict=True):
            done = jax.jit(run).lower(state, x, jax.random.key(1)).compile()
            compiled[name, kind] = functools.partial(done, state, x, jax.random.key(1)), done
    seconds = rounds({name: call for name, (call, _) in compiled.items()}, repeats)
    rows = []
    for name in pairs:
        hand, converted = (np.asarray(seconds[name, kind]) for kind in ("by hand", "converted"))
        low, middle, high = np.quantile(converted / hand, (0.25, 0.5, 0.75))
        work = [operations(compiled[name, kind][1]) for kind in ("by hand", "converted")]
        rows.append(
            {
                "model": name,
                "by hand ms": 1e3 * float(np.median(hand)),
                "converted ms": 1e3 * float(np.median(converted)),
                "ratio": float(middle),
                "lower quartile": float(low),
                "upper quartile": float(high),
                "operations": work[1] / work[0],
            }
        )
    return rows


# Measuring --------------------------------------------------------------------------------------


def rounds(runs: Mapping[Any, Callable[[], Any]], repeats: int) -> dict[Any, list[float]]:
    """Seconds of each run, round by round; each round begins with another one."""
    names = list(runs)
    times: dict[Any, list[float]] = {name: [] for name in names}
    for run in runs.values():
        jax.block_until_ready(run())
    for turn in range(repeats):
        first = turn % len(names)
        for name in [*names[first:], *names[:first]]:
            start = time.perf_counter()
            jax.block_until_ready(runs[name]())
            times[name].append(time.perf_counter() - start)
    return times


def operations(compiled: Any) -> float:
    """XLA's count of floating-point operations of a compiled program."""
    return float(compiled.cost_analysis()["flops"])


def trace_rows(
    core: pj.OpticalCore, layers: int, width: int, heads: int, tokens: int, repeats: int
) -> list[dict[str, Any]]:
    """Time to trace a scanned model: digital, with optical products by hand, through ``pj.optical``.

    The first time, then medians, of time passed and of processor time, which a busy machine lengthens less.
    """
    params = {
        name: jax.ShapeDtypeStruct((layers, *size), jnp.float32)
        for name, size in widths(width).items()
    }
    x = jax.ShapeDtypeStruct((tokens, width), jnp.float32)
    key = jax.eval_shape(jax.random.key, 0)

    def digital(key: jax.Array, params: Any, x: jax.Array) -> jax.Array:
        def layer(h: jax.Array, weights: Any) -> tuple[jax.Array, None]:
            return block(h, lambda name, x: x @ weights[name], heads), None

        return lax.scan(layer, x, params)[0]

    def by_hand(key: jax.Array, params: Any, x: jax.Array) -> jax.Array:
        def layer(h: jax.Array, step: Any) -> tuple[jax.Array, None]:
            key, weights = step

            def linear(name: str, x: jax.Array) -> jax.Array:
                own = jax.random.fold_in(key, list(weights).index(name))
                return pj.optical_dot_general(x, weights[name], LAST_BY_FIRST, core=core, key=own)

            return block(h, linear, heads), None

        return lax.scan(layer, x, (jax.random.split(key, layers), params))[0]

    def transformed(key: jax.Array, params: Any, x: jax.Array) -> jax.Array:
        f = functools.partial(digital, None)
        return pj.optical(f, [pj.Rule(EVERYTHING, core)])(key, params, x)

    rows = []
    for name, f in {"digital": digital, "by hand": by_hand, "pj.optical": transformed}.items():
        passed, busy = [], []
        for _ in range(repeats + 1):
            start, begun = time.perf_counter(), time.process_time()
            jax.jit(lambda *args, f=f: f(*args)).trace(key, params, x)
            passed.append(time.perf_counter() - start)
            busy.append(time.process_time() - begun)
        rows.append(
            {
                f"tracing {layers} layers": name,
                "first s": passed[0],
                "s": statistics.median(passed[1:]),
                "processor s": statistics.median(busy[1:]),
            }
        )
    return rows
