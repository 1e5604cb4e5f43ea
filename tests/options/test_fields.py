"""An option has one home: its field. What is made of it: check, docstring, TOML key, command-line option."""

from dataclasses import dataclass, field

import pytest
import typer
from typer.testing import CliRunner

from bayesde import OptionError
from bayesde.cli.arguments import Part, with_options
from bayesde.eb.options import EbOptions
from bayesde.options import (
    File,
    Number,
    Other,
    Switch,
    Whole,
    Words,
    check_fields,
    described,
    documented,
    flag,
    option,
)
from bayesde.options.toml import options_from_dict, read_toml, to_toml
from bayesde.posterior.options import EngineRunOptions, SamplingOptions
from bayesde.runs import ModelPlan, RunFiles, SamplePlan
from bayesde.simulation import SimulationOptions


@documented
@dataclass(frozen=True, kw_only=True)
class Small:
    """How cells are sorted."""

    table: str = field(metadata=described(File(), "The cells.", flag(metavar="TABLE", required=True)))
    order: str = option(
        "size", Words({"size": "by size", "age": "by age"}), "Order of cells.", flag("--order", "-o")
    )
    share: float = option(0.5, Number(0.0, 1.0), "Share that is kept.", flag("--share", metavar="X"))
    rounds: int = option(3, Whole(1, 9), "Rounds of sorting.", flag("--rounds", panel="Details"))
    strict: bool = option(True, Switch(), "Whether a tie is an error.", flag("--lax", sets=False))
    names: tuple[str, ...] = option(
        (),
        Other("names", lambda name, value: tuple(value)),
        "Names.",
        flag("--name", repeated=True, read=tuple),
    )
    limit: float | None = option(None, Number(0.0, 5.0, open_ends=True), "Not of the command line.")

    def __post_init__(self) -> None:
        check_fields(self)


@pytest.fixture
def call():
    """Call a command that has the options of `Small`; return its output and what the user chose."""

    def run(*arguments):
        heard = []
        app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        app.command("sort")(with_options("sort", [Part("small", Small)], heard.append))
        result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"}, catch_exceptions=False)
        return result, heard

    return run


def test_the_field_makes_an_option_of_the_command(call):
    arguments = ("cells.tsv", "-o", "age", "--rounds", "2", "--lax", "--name", "a", "--name", "b")
    result, heard = call(*arguments)
    assert result.exit_code == 0
    chosen = heard[0]["small"]
    assert str(chosen.pop("table")) == "cells.tsv"
    assert chosen == {"order": "age", "rounds": 2, "strict": False, "names": ("a", "b")}
    assert Small(table="cells.tsv", **chosen).share == 0.5, "what is left out has the default of the field"


def test_what_is_0_is_not_left_out(call):
    assert call("cells.tsv", "--share", "0")[1][0]["small"]["share"] == 0.0


def test_the_help_has_text_meanings_defaults_and_panels(call):
    text = " ".join(call("--help")[0].output.split())
    assert "Order of cells. size (default): by size; age: by age." in text
    assert "Share that is kept. [default: 0.5]" in text
    assert "Details" in text
    assert "--limit" not in text


def test_a_required_argument_is_required(call):
    assert call()[0].exit_code == 2


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"order": "ages"}, "order must be one of 'size', 'age'; got 'ages'. Did you mean 'age'?"),
        ({"share": 1.5}, "share must be a number in [0, 1]; got 1.5."),
        ({"share": True}, "share must be a number in [0, 1]; got True."),
        ({"rounds": 10}, "rounds must be a whole number from 1 to 9; got 10."),
        ({"rounds": 2.5}, "rounds must be a whole number from 1 to 9; got 2.5."),
        ({"strict": 1}, "strict must be true or false; got 1."),
        ({"limit": 5.0}, "limit must be a number in (0, 5); got 5.0."),
        ({"order": None}, "order must be one of 'size', 'age'; got None."),
        ({"table": 1}, "table must be the path of a file; got 1."),
    ],
)
def test_the_field_makes_the_check(call, values, words):
    with pytest.raises(OptionError) as refused:
        Small(**{"table": "cells.tsv", **values})
    assert str(refused.value) == words
    name, value = next(iter(values.items()))
    if name == "share" and value == 1.5:
        with pytest.raises(OptionError, match="share must be"):
            call("cells.tsv", "--share", "1.5")


def test_whole_numbers_become_int():
    assert Small(table="x", rounds=4.0).rounds == 4
    assert isinstance(Small(table="x", rounds=4.0).rounds, int)


def test_the_field_makes_the_key_of_a_file(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(to_toml(Small(table="/cells.tsv", share=0.25)))
    assert options_from_dict(Small, read_toml(file), str(file)) == Small(table="/cells.tsv", share=0.25)
    with pytest.raises(OptionError, match=r"unknown key 'shares'\. Did you mean 'share'"):
        options_from_dict(Small, {"table": "x", "shares": 1}, "small.toml")


def test_the_field_makes_the_docstring():
    head, _, parameters = Small.__doc__.partition("Parameters\n----------\n")
    assert head.strip() == "How cells are sorted."
    entries = [line.strip() for line in parameters.splitlines()]
    assert entries[:6] == [
        "table : path",
        "The cells.",
        'order : {"size", "age"}, default "size"',
        "Order of cells. ``size`` (default): by size; ``age``: by age.",
        "share : float in [0, 1], default 0.5",
        "Share that is kept.",
    ]
    assert "limit : float in (0, 5), optional" in entries


@pytest.mark.parametrize(
    "kind",
    [EbOptions, EngineRunOptions, ModelPlan, RunFiles, SamplePlan, SamplingOptions, SimulationOptions],
)
def test_every_field_of_the_package_is_an_option_with_a_sentence(kind):
    for name, entry in kind.__dataclass_fields__.items():
        assert entry.metadata, f"{kind.__name__}.{name} was not made by option()"
        assert f"\n{name} : " in kind.__doc__
        for text in (one.help for one in entry.metadata.values()):
            assert text[0].isupper() or text.startswith(("a0", "S", "sigma"))
            assert text.rstrip().endswith((".", "..."))


def test_a_part_may_make_a_required_option_optional():
    heard = []
    app = typer.Typer(add_completion=False)
    parts = [Part("small", Small, ("table", "share"), {"table": "all.tsv"})]
    app.command("sort")(with_options("sort", parts, heard.append))
    assert CliRunner().invoke(app, []).exit_code == 0
    assert heard == [{"small": {}}]
