"""One module a command of cli.py: docstring (its help), `arguments(parser)`, `run(options) -> exit code`."""
