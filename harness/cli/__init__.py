"""The command line: options, messages and exit codes; all work is done elsewhere.

torch, pydantic and pandas are imported inside the commands, so that `harness --help` answers at once.
"""
