"""From the optimiser's example."""

from examples.inverters import optimize


def settings(folder, generator):
    return {"start": {"name": "optimize", **optimize.settings(folder, generator)}}
