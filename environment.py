"""Settings of the process, made before torch and Gradio are imported: import this module first."""

import os

# How long an idle thread of torch's OpenMP pool spins before it sleeps. libgomp's own 300,000 rounds take
# milliseconds, in which the processor is lost to whoever shares it: another visitor's picture, another
# process. benchmarks/neighbour.py has the figures. Whoever sets either variable is not overruled.
SPINS = "3000"

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing is reported to anyone
