"""The command line: what a model's prefill costs on a core and on digital accelerators.

photonjax cost --model llama-3-8b --context 32768 --core display-1024 --baseline h100-sxm
photonjax cost --list
photonjax describe display-1024
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from photonjax import cost, machines
from photonjax.command_machines import (
    Refused,
    check_names,
    make_accelerator,
    make_baselines,
    make_core,
    make_digital,
)
from photonjax.core.core import OpticalCore
from photonjax.core.limits import allowed
from photonjax.extras import need
from photonjax.files import check_writable, whole_file
from photonjax.machines.files import is_file
from photonjax.workload import Workload

__all__ = ["main"]

_OK, _WRONG = 0, 2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the usage."""
        raise Refused(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0, or 2 for what the user can fix (one line says how).

    >>> main(["cost", "--model", "llama-3-8b", "--core", "display-1023"])
    2
    """
    try:
        args = _parser().parse_args(arguments)
        args.run(args)
        sys.stdout.flush()
    except Refused as error:
        print(f"photonjax: error: {' '.join(str(error).split())}", file=sys.stderr)
        return _WRONG
    except OSError as error:  # of standard output; it is not tried again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # there, the reader has seen enough
            print(f"photonjax: error: cannot write the output ({error.strerror})", file=sys.stderr)
            return _WRONG
    return _OK


def _parser() -> _Parser:
    parser = _Parser(prog="photonjax", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("cost", help="energy and time of a prefill, side by side")
    one.add_argument("--model", metavar="NAME", help="named model (see --list)")
    one.add_argument("--context", type=_count, default=8192, metavar="TOKENS", help="prompt length")
    one.add_argument("--batch", type=_count, default=1, metavar="N", help="prompts at a time")
    one.add_argument(
        "--core",
        default="display-1024",
        metavar="NAME",
        help="optical core (see --list), or a file of yours: my_core.yaml, .toml, .json",
    )
    one.add_argument(
        "--baseline",
        action="append",
        metavar="NAME",
        help="digital accelerator to compare with, or a file: my_gpu.toml; may be repeated (default: "
        "h100-sxm)",
    )
    one.add_argument(
        "--dtype",
        default="bfloat16,int8",
        metavar="LIST",
        help="precisions of the baselines' products with weights, one column each (%(default)s)",
    )
    one.add_argument(
        "--attention-dtype",
        default="bfloat16",
        metavar="DTYPE",
        help="precision of products of two computed operands, on all accelerators (%(default)s)",
    )
    one.add_argument(
        "--optical",
        choices=("weights", "all"),
        default="weights",
        help="which products run on light: those with weights (default), or attention's too",
    )
    one.add_argument(
        "--digital",
        metavar="NAME",
        help="accelerator, or a file, for what the core does not do (default: the first baseline that "
        "can), or none",
    )
    one.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="a number of the core, as costs.load_time_s=1e-5; may be repeated; it is not varied then",
    )
    one.add_argument(
        "--samples",
        type=functools.partial(_count, most=cost.MOST_SAMPLES),
        default=1000,
        metavar="N",
        help="Monte Carlo draws",
    )
    one.add_argument(
        "--seed",
        type=functools.partial(_count, low=0, most=2**32 - 1),
        default=0,
        help="of the draws",
    )
    one.add_argument("--json", action="store_true", help="print JSON: costs, numbers, versions")
    one.add_argument("--csv", action="store_true", help="print the costs as CSV")
    one.add_argument(
        "--plot",
        nargs="?",
        const="photonjax-cost.png",
        metavar="FILE",
        help="write a picture (.png, .pdf, .svg; %(const)s)",
    )
    one.add_argument("--list", action="store_true", help="list models, cores and baselines")
    one.set_defaults(run=_cost)

    two = commands.add_parser("describe", help="every number of a machine, with its source")
    two.add_argument(
        "name",
        help="of a core or a digital baseline, or a file of yours: my_core.yaml, .toml, .json",
    )
    two.set_defaults(run=_describe)
    return parser


def _count(text: str, low: int = 1, most: int = 2**31 - 1) -> int:
    try:
        value = int(text.replace("_", "").replace(",", ""))
    except ValueError:
        value = low - 1
    if not low <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not {allowed('an integer', low, most)}")
    return value


def _describe(args: argparse.Namespace) -> None:
    try:
        print(machines.describe(args.name))
        own = machines.read_machine(args.name).machine if is_file(args.name) else None
        if isinstance(own, OpticalCore) and own.costs is not None:
            for note in make_core(args.name, []).notes:  # of energies that follow the bits
                print(f"note: {note}")
    except ValueError as error:
        raise Refused(error) from None


def _list() -> None:
    from photonjax.models import shapes

    cores = [n for n in machines.optical_names() if machines.optical(n).costs is not None]
    for title, names in (
        ("models", shapes.names()),
        ("cores", cores),
        ("baselines", machines.digital_names()),
    ):
        print(f"{title}:")
        print("\n".join(f"  {name}" for name in names))


def _cost(args: argparse.Namespace) -> None:
    if args.list:
        return _list()
    if args.model is None:
        raise Refused("--model is missing; photonjax cost --list names the models")
    if args.json and args.csv:
        raise Refused("--json and --csv both print; choose one")
    if args.plot:
        _check_plot(args.plot)
    try:
        found = _compare(args)
    except ValueError as error:
        raise Refused(error) from None
    if args.json:
        command = {k: v for k, v in vars(args).items() if k != "run"}
        print(json.dumps({"command": command, **_plain(found.to_dict())}, indent=2))
    elif args.csv:
        for i, (name, one) in enumerate(found.costs.items()):
            head, *lines = one.to_csv().splitlines()
            print(
                "\n".join(
                    [*([f"machine,{head}"] if i == 0 else []), *(f"{name},{x}" for x in lines)]
                )
            )
    else:
        print(found)
    if args.plot:  # last: whatever becomes of the file, the numbers are out
        _plot(found, pathlib.Path(args.plot))
    return None


def _plot(found: cost.Comparison, path: pathlib.Path) -> None:
    try:
        with whole_file(path) as file:
            found.plot().savefig(file, format=path.suffix[1:], dpi=150)
    except OSError as error:
        raise Refused(_unwritable(path, error)) from None
    print(f"picture: {path}", file=sys.stderr)


def _compare(args: argparse.Namespace) -> cost.Comparison:
    core = make_core(args.core, args.set)
    names = list(dict.fromkeys(args.baseline or ["h100-sxm"]))
    accelerators = {name: make_accelerator(name) for name in names}
    digital = make_digital(args.digital, accelerators)
    check_names(core, *accelerators.values(), *([digital] if digital else []))
    baselines = [b for a in accelerators.values() for b in make_baselines(a, args)]
    workload = _workload(args.model, args.context, args.batch)
    tokens = args.context * args.batch
    batch = f"{args.batch} x " if args.batch > 1 else ""
    return cost.compare(
        workload,
        core,
        baselines,
        title=f"{args.model}, prefill of {batch}{args.context:,} tokens",
        tokens=tokens,
        digital=digital,
        where=(lambda site: True) if args.optical == "all" else None,
        dtype=args.attention_dtype,
        samples=args.samples,
        seed=args.seed,
    )


def _workload(model: str, context: int, batch: int) -> Workload:
    from photonjax.models import prefill_workload

    return prefill_workload(model, tokens=context, batch=batch)


def _check_plot(file: str) -> None:
    """Before any computing: can it be drawn, and written there?"""
    path = pathlib.Path(file)
    if path.suffix not in (".png", ".pdf", ".svg"):
        raise Refused(f"--plot {file}: end the name in .png, .pdf or .svg")
    if not path.absolute().parent.is_dir():
        raise Refused(f"--plot {file}: there is no directory {path.absolute().parent}")
    try:
        check_writable(path)
    except OSError as error:
        raise Refused(_unwritable(path, error)) from None
    try:
        need("matplotlib.pyplot", "experiments")
    except ImportError as error:
        raise Refused(f"--plot: {error}") from None


def _unwritable(path: pathlib.Path, error: OSError) -> str:
    return (
        f"--plot {path}: cannot be written ({error.strerror}); free space, or choose another place"
    )


def _plain(value: Any) -> Any:
    """Not-a-number and infinity become null."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


if __name__ == "__main__":
    sys.exit(main())
