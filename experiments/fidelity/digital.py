"""The digital baselines beside what was measured on the accelerators themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import photonjax as pj
from experiments.fidelity.rows import Row, assumed_row, row
from photonjax.models import DecoderConfig, prefill_workload
from photonjax.workload import MatmulSite, Workload

TOKENS = 2048
# meta-llama/Llama-2-7b: sizes also in the source of the measurement, which lists the engine's configuration
LLAMA_2_7B = DecoderConfig(
    vocab_size=32_000,
    hidden_size=4096,
    intermediate_size=11_008,
    num_layers=32,
    num_heads=32,
    num_kv_heads=32,
    max_length=4096,
)
PROMPTS: dict[str, tuple[str, str, Any]] = {
    "ttft_h100_mistral_7b": ("h100-sxm", "Mistral 7B", "mistral-7b"),
    "ttft_h100_llama_7b": ("h100-sxm", "Llama 2 7B", LLAMA_2_7B),
    "ttft_h200_mistral_7b": ("h200-sxm", "Mistral 7B", "mistral-7b"),
    "ttft_h200_llama_7b": ("h200-sxm", "Llama 2 7B", LLAMA_2_7B),
}


def digital_rows() -> list[Row]:
    """First-token latencies and energies per multiply-accumulate."""
    rows = [prompt_row(key, *prompt) for key, prompt in PROMPTS.items()]
    square = MatmulSite("w", 1, 4096, 4096, 4096, 1, "bfloat16", True)
    rows.append(
        spanned(
            "h100-sxm, large bfloat16 products: energy",
            "h100_bf16_energy",
            "h100-sxm",
            lambda accelerator: (
                1e12 * pj.cost.estimate(Workload([square], []), accelerator).joules / square.macs
            ),
        )
    )
    full = dataclasses.replace(pj.machines.digital("h100-sxm"), utilisation=1.0)
    whole = prefill_workload("llama-3-8b", tokens=TOKENS, last_only=False)
    linears = Workload([s for s in whole.matmuls if s.stationary], [])
    for dtype, key in (("bfloat16", "h100_8b_peak_bf16"), ("int8", "h100_8b_peak_int8")):
        joules = pj.cost.estimate(linears, full, dtype=dtype).joules
        name = f"h100-sxm, Llama 3 8B's linear products at peak rate, {dtype}"
        rows.append(row(name, key, 1e3 * joules / TOKENS, "utilisation 1; the head at every token"))
    return rows


def prompt_row(key: str, accelerator: str, name: str, model: Any) -> Row:
    """A prompt of 2,048 tokens: weights' products in float8, attention in bfloat16, one logit row."""
    workload = prefill_workload(model, tokens=TOKENS)

    def precision(site: MatmulSite) -> str:
        return "float8" if site.stationary else "bfloat16"

    return spanned(
        f"{accelerator}, {name}, prefill of {TOKENS:,} tokens",
        key,
        accelerator,
        lambda accelerator: 1e3 * pj.cost.estimate(workload, accelerator, dtype=precision).seconds,
    )


def spanned(name: str, key: str, machine: str, ours: Callable[[Any], Any]) -> Row:
    """A line of ours that rests on a utilisation, which is assumed, with a range."""
    accelerator, number = pj.machines.digital(machine), pj.machines.sources(machine)["utilisation"]
    assert number.low is not None and number.high is not None

    def at(utilisation: float) -> float:
        return float(ours(dataclasses.replace(accelerator, utilisation=utilisation)))

    low, high = at(number.high), at(number.low)
    note = (
        f"{low:.3g} to {high:.3g} for a utilisation of {number.high:g} to {number.low:g}; "
        f"{number.value:g} is what the named machine has"
    )
    return assumed_row(name, key, at(number.value), low, high, note)
