"""A sweep's plan on many machines: as scripts for Slurm, or as the tasks of a Ray cluster."""
