"""What a program multiplies, and what else it does, read from its jaxpr."""

from photonjax.workload.sites import MatmulSite, Operation, Workload
from photonjax.workload.walk import matmuls, trace_workload

__all__ = ["MatmulSite", "Operation", "Workload", "matmuls", "trace_workload"]
