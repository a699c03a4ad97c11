"""How long an optical product, an optical prefill and the import take, against their digital selves.

    python -m experiments.benchmark
    python -m experiments.benchmark prefill.tokens=null modes.tokens=null imports=false   # products only

Everything that is compared runs in turn in one process; medians and their ratios are reported. The
optical product is INT8 with all of the core group's noise and its ADC. Writes
``results/benchmark/<run>/``: products.csv, modes.csv, start.csv (seconds until the first prefill),
prefill.csv, metrics.json, report.txt.
"""

from __future__ import annotations

import functools
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

import photonjax as pj
from experiments.benchmark.config import Benchmark
from experiments.harness import Parts, Progress, RunDirectory, peak_memory_bytes
from experiments.harness.cores import make_core
from experiments.harness.inputs import load_model
from photonjax.core import arithmetic
from photonjax.evaluation import Prefill
from photonjax.tables import text_table

LAST_BY_FIRST = (((1,), (0,)), ((), ()))


def benchmark(config: Benchmark) -> None:
    """The whole experiment."""
    core = make_core(config.core)
    with RunDirectory("benchmark", config) as run:
        write(run, measured(config, core, Parts(run)))


def measured(config: Benchmark, core: pj.OpticalCore, parts: Parts) -> dict[str, Any]:
    """Every table; what an interrupted run has measured is taken over."""
    sizes = list(itertools.product(config.product.tokens, config.product.shapes))
    with Progress("products", len(sizes), "shapes") as progress:
        products = [
            parts.get(
                f"{tokens} x {k} x {n}",
                functools.partial(product_row, core, tokens, k, n, config.repeats),
                progress,
            )
            for tokens, (k, n) in sizes
        ]

    def table(name: str, wanted: Any, work: Callable[[], Any]) -> Any:
        return parts.get(name, work) if wanted else []

    modes = table("modes", config.modes.tokens, lambda: mode_rows(config))
    jax.config.update("jax_enable_compilation_cache", False)  # what compiling costs is asked for
    tokens = config.prefill.tokens
    return {
        "exact_arithmetic": arithmetic(),
        "products": products,
        "modes": modes,
        "start": table("start", tokens, lambda: start_rows(config, core)),
        "prefill": table("prefill", tokens, lambda: prefill_rows(config, core)),
        "import_seconds": parts.get("imports", lambda: import_seconds(config.repeats))
        if config.imports
        else {},
        "peak_memory_bytes": peak_memory_bytes(),
    }


def write(run: RunDirectory, found: Mapping[str, Any]) -> None:
    """All results; metrics.json last, since it marks the run as finished."""
    parts = [
        f"exact 8-bit arithmetic: {arithmetic()}; jax {jax.__version__}; "
        f"XLA_FLAGS={os.environ.get('XLA_FLAGS', '')}",
        text_table(shown(found["products"])),
    ]
    run.write_csv("products.csv", found["products"])
    for name in ("modes", "start", "prefill"):
        if found[name]:
            run.write_csv(f"{name}.csv", found[name])
            parts.append(text_table(shown(found[name])))
    if imports := found["import_seconds"]:
        ratio = imports["photonjax"] / imports["jax, flax.nnx"]
        times = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in imports.items())
        parts.append(f"import: {times}; ratio {ratio:.2f}")
    if (peak := found["peak_memory_bytes"]) is not None:
        parts.append(f"peak memory of this process: {peak / 2**30:.2f} GiB")
    report = "\n\n".join(parts)
    run.write("report.txt", report + "\n")
    run.write_json("metrics.json", found)
    print(f"\n{report}\n\nwritten to {run.path}")


def product_row(core: pj.OpticalCore, tokens: int, k: int, n: int, repeats: int) -> dict[str, Any]:
    """Ratios to ``jnp.dot`` in float32 for one shape."""
    keys = jax.random.split(jax.random.key(0), 3)
    x, w = jax.random.normal(keys[0], (tokens, k)), jax.random.normal(keys[1], (k, n))
    quiet = jax.jit(lambda x, w: pj.optical_dot_general(x, w, LAST_BY_FIRST, core=core))
    noisy = jax.jit(
        lambda x, w, key: pj.optical_dot_general(x, w, LAST_BY_FIRST, core=core, key=key)
    )
    f32 = jax.jit(lambda x, w: jnp.dot(x, w))
    bf16 = jax.jit(lambda x, w: lax.dot(x, w, preferred_element_type=jnp.float32))
    int8 = jax.jit(lambda x, w: lax.dot(x, w, preferred_element_type=jnp.int32))
    x8, x16, w16 = x.astype(jnp.int8), x.astype(jnp.bfloat16), w.astype(jnp.bfloat16)
    quantized, programmed = pj.quantize(w, bits=core.array.bits, contracting=0), pj.program(w, core)
    times = interleave(
        {
            "float32": lambda: f32(x, w),
            "bf16_to_f32": lambda: bf16(x16, w16),
            "int8_to_int32": lambda: int8(x8, quantized.values),
            "optical_no_noise": lambda: quiet(x, programmed),
            "optical_quantized": lambda: noisy(x, quantized, keys[2]),
            "optical_programmed": lambda: noisy(x, programmed, keys[2]),
        },
        repeats,
    )
    base = times.pop("float32")
    row = {"tokens": tokens, "k": k, "n": n, "tiles": -(-k // core.rows), "float32_ms": 1e3 * base}
    return row | {f"{name}_ratio": seconds / base for name, seconds in times.items()}


def mode_rows(config: Benchmark) -> list[dict[str, Any]]:
    """What the exact and the further modes cost beside the ordinary core, programmed weights."""
    settings = config.modes
    x_key, w_key, key = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(x_key, (settings.tokens, settings.k))
    w = jax.random.normal(w_key, (settings.k, settings.n))
    f32 = jax.jit(lambda x, w: jnp.dot(x, w))
    run = jax.jit(
        lambda x, w, core, key: pj.optical_dot_general(x, w, LAST_BY_FIRST, core=core, key=key)
    )
    runs: dict[str, Callable[[], Any]] = {"digital float32": lambda: f32(x, w)}
    for name, core in config.mode_cores().items():
        held = pj.program(w, core)
        runs[name] = lambda core=core, held=held: run(x, held, core, key)
    times = interleave(runs, config.repeats)
    base, ordinary = (times[name] for name in list(runs)[:2])
    return [
        {"mode": name, "ms": 1e3 * s, "ratio": s / base, "to_ordinary": s / ordinary}
        for name, s in times.items()
    ]


def start_rows(config: Benchmark, core: pj.OpticalCore) -> list[dict[str, Any]]:
    """Seconds until the model is loaded, converted, calibrated and compiled, step by step; nothing cached.

    ``cpu_s`` is processor time of this process: where the machine is shared, it says more than the clock.
    """
    laps: list[dict[str, Any]] = []
    start = time.perf_counter(), time.process_time()

    def lap(step: str, ready: Any) -> None:
        nonlocal start
        jax.block_until_ready(ready)
        now = time.perf_counter(), time.process_time()
        laps.append({"step": step, "seconds": now[0] - start[0], "cpu_s": now[1] - start[1]})
        start = now

    model, _ = load_model(config.model)
    lap("load", nnx.state(model))
    optical, _ = pj.convert(model, [pj.Rule("*", core)])
    lap("convert", nnx.state(optical))
    pj.calibrate(optical, some_tokens(config, model))
    lap("calibrate", nnx.state(optical))
    pj.program_weights(optical)
    lap("program weights", nnx.state(optical))
    for name, which in (("digital", model), ("optical", optical)):
        Prefill(which).compile(config.prefill.tokens or 0)
        lap(f"compile, {name}", ())
    total = {key: sum(row[key] for row in laps) for key in ("seconds", "cpu_s")}
    return [*laps, {"step": "all", **total}]


def some_tokens(config: Benchmark, model: Any) -> jax.Array:
    """One prompt ``[1, tokens]`` of made-up tokens."""
    return jnp.arange(config.prefill.tokens, dtype=jnp.int32)[None] * 37 % model.config.vocab_size


def prefill_rows(config: Benchmark, core: pj.OpticalCore) -> list[dict[str, Any]]:
    """The whole model, logits at every position."""
    model, _ = load_model(config.model)
    tokens = some_tokens(config, model)
    optical, _ = pj.convert(model, [pj.Rule("*", core)])
    quiet, _ = pj.convert(model, [pj.Rule("*", core)], noise=False)
    for converted in (optical, quiet):
        pj.program_weights(converted)
    runs = {
        name: _prefill(m, tokens)
        for name, m in (
            ("digital float32", model),
            ("optical", optical),
            ("optical, no noise", quiet),
        )
    }
    times = interleave(runs, config.repeats)
    base = times["digital float32"]
    return [
        {"prefill": name, "seconds": s, "tokens_per_s": tokens.size / s, "ratio": s / base}
        for name, s in times.items()
    ]


def _prefill(model: nnx.Module, tokens: jax.Array) -> Callable[[], jax.Array]:
    graph, state = nnx.split(model)
    run = jax.jit(lambda state, tokens: nnx.merge(graph, state)(tokens))
    return lambda: run(state, tokens)


def interleave(runs: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each run, taken in turn after one call each that compiles."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        jax.block_until_ready(run())
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def import_seconds(repeats: int) -> dict[str, float]:
    """Median seconds of a fresh interpreter's import."""
    commands = {"jax, flax.nnx": "import jax, flax.nnx", "photonjax": "import photonjax"}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for call in range(repeats + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", command], check=True)
            if call:  # the first one fills the file cache
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def shown(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Rows with their floats made readable."""
    return [
        {
            name.replace("_ratio", "").replace("_", " "): f"{v:.3g}"
            if isinstance(v, float)
            else str(v)
            for name, v in row.items()
        }
        for row in rows
    ]
