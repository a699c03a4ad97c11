"""Digital machines, a file each; every file lists what it offers in ``MACHINES``."""
