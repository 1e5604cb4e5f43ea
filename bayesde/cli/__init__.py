"""The command line: its options (``arguments``), the plan they make (``planning``), and the commands.

The commands with many options of their own have a module each: ``sampling``, ``simulating``,
``demonstration``. ``running`` shows progress and says what was found.
"""

from bayesde.cli.commands import app, main

__all__ = ["app", "main"]
