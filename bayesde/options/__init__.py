"""Options: fields of frozen dataclasses that check themselves.

A field has its default, its help, what is allowed (``kinds``) and its spelling on the command line in one
place (``fields``). ``checks`` has the checks of single values, for options and for the arguments of
functions; ``toml`` makes option objects from files.
"""

from bayesde.options.checks import check_choice, check_range, check_whole, nearest
from bayesde.options.fields import Flag, Option, check_fields, described, documented, flag, option, options_of
from bayesde.options.kinds import File, Formula, Kind, Number, Other, Switch, Whole, Words

__all__ = [
    "File",
    "Flag",
    "Formula",
    "Kind",
    "Number",
    "Option",
    "Other",
    "Switch",
    "Whole",
    "Words",
    "check_choice",
    "check_fields",
    "check_range",
    "check_whole",
    "described",
    "documented",
    "flag",
    "nearest",
    "option",
    "options_of",
]
