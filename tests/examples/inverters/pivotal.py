"""From the optimiser's example."""

from examples.inverters import optimize


def settings(folder, generator):
    return {
        "start": {"name": "optimize", **optimize.settings(folder, generator)},
        "losses": {"pixel": 1.0, "perceptual": 0.0},
        "steps": 60,
        "every": 20,
        "learning_rate": 2e-3,
        "locality": 0.0,
        "resolution": 32,
    }
