"""What every experiment needs: a checked config, a run directory, progress, and errors of one line.

To add an experiment, say ``colours``:

1. ``experiments/colours/config.py``: its settings as one dataclass, each with its type and range
   beside it (:mod:`experiments.harness.schema`), sections as further dataclasses; what several fields
   must satisfy together goes into a method ``check``::

       @dataclasses.dataclass
       class Colours(Experiment):            # adds results_dir and run
           wavelengths: int = setting(low=1, high=64)
           data: Data = setting()            # a section that others use too: experiments.harness.settings
           core: dict[str, Any] = setting(empty=True)  # a machine and fields: experiments.harness.cores

2. ``configs/colours.yaml``: the values, with a comment where the name does not say it all::

       defaults:
         - common                # results_dir, run, and how Hydra behaves
         - colours_schema        # the dataclass, under the experiment's name
         - core: display-1024    # a group: a file of configs/core/
         - _self_
       wavelengths: 8

3. ``experiments/colours/run.py``: ``def colours(config: Colours) -> None``, which checks what only
   building shows (cores, before anything is loaded), opens a :class:`RunDirectory`, works part by
   part (:class:`Parts` keeps what is done, so that a run that is interrupted can be resumed), and
   writes ``metrics.json`` last, since that marks the run as finished.

4. ``experiments/colours/__main__.py``::

       if __name__ == "__main__":
           main("colours", Colours, colours)

5. ``tests/experiments/colours/test_colours.py``: small sizes through ``load_config("colours",
   Colours, [...])``, or through the command line where errors matter.

``python -m experiments.colours wavelengths=4`` then runs it, ``--multirun wavelengths=1,2,4`` sweeps,
each job in a directory of its own. A sweep that was interrupted goes on when repeated with its
``run=NAME``: finished jobs are left out. ``hydra/launcher=processes`` runs the jobs side by side here,
``hydra/launcher=slurm`` on a cluster (``configs/hydra/launcher/``), ``hydra/launcher=ray`` on a Ray
cluster (``pip install hydra-ray-launcher``, ``ray start``, ``hydra.launcher.ray.init.address=auto``).
"""

from experiments.harness.errors import UserError, user_errors
from experiments.harness.launch import ROOT, load_config, main, widen_vectors
from experiments.harness.parts import Parts
from experiments.harness.progress import Progress, Stages, note, track
from experiments.harness.run_directory import RunDirectory, peak_memory_bytes, versions

__all__ = [
    "ROOT",
    "Parts",
    "Progress",
    "RunDirectory",
    "Stages",
    "UserError",
    "load_config",
    "main",
    "note",
    "peak_memory_bytes",
    "track",
    "user_errors",
    "versions",
    "widen_vectors",
]
