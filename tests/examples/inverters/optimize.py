"""Without the terms that need weights."""

OFFLINE = {"pixel": 8.0, "delta": 0.1, "prior": 0.05, "perceptual": 0.0, "identity": 0.0}


def settings(folder, generator):
    return {"losses": OFFLINE, "steps": 6, "finish": 2, "every": 2, "resolution": 32}
