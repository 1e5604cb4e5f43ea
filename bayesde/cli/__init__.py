"""The command line: commands whose options are made from the fields of option classes.

``options`` lists the options of each command, ``arguments`` makes them, ``planning`` turns them into the plan
of a run, ``running`` carries it out with a progress bar. The commands are in ``commands``, ``sampling``,
``cells``, ``simulating``, ``biasing`` and ``demonstration``.
"""

from bayesde.cli.commands import app, main

__all__ = ["app", "main"]
