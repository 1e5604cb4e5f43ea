"""What a shell sees: completion of commands and options, and no colours where they are not wanted."""

import os
import re
import subprocess
import sys

import pytest

PROGRAM = "import sys; sys.argv = ['bayesde', *sys.argv[1:]]; from bayesde.cli import main; main()"
COLOUR = re.compile(r"\x1b\[[0-9;]*\b(?:3[0-7]|4[0-7]|9[0-7]|38|48)\b[0-9;]*m")


def started(*arguments, **environment):
    """Run the command line in another process, with these variables in its environment."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**kept, **environment}
    ).stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("bayesde sta", {"status"}),
        ("bayesde eb --lfc", {"--lfc-threshold"}),
        ("bayesde sample --effe", {"--effects"}),
    ],
)
def test_commands_and_their_options_are_completed(words, expected):
    number = str(len(words.split()) - 1)
    out = started(_BAYESDE_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=number)
    assert set(out.split()) == expected


def test_the_completion_script_can_be_shown():
    assert "complete -o default -F _bayesde_completion bayesde" in started(
        "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"
    )


def test_no_color_is_respected():
    assert COLOUR.search(started("eb", "--help", FORCE_COLOR="1"))
    assert not COLOUR.search(started("eb", "--help", FORCE_COLOR="1", NO_COLOR="1"))
