import pytest

from bayesde.eb.options import EbOptions
from bayesde.errors import InputError, OptionError, ToolchainError, first_few
from bayesde.options import check_range, nearest
from bayesde.options.toml import options_from_dict, read_toml, to_toml


def test_first_few_names_some_and_counts_the_rest():
    assert first_few(["a", "b"]) == "'a', 'b'"
    assert first_few(range(7)) == "'0', '1', '2', '3', '4' and 2 more"


def test_mistakes_of_the_user_exit_with_2():
    assert {InputError.exit_code, OptionError.exit_code, ToolchainError.exit_code} == {2}
    assert issubclass(OptionError, ValueError)


def test_options_survive_toml(tmp_path):
    options = EbOptions(trend="mean", fdr=0.05)
    path = tmp_path / "run.toml"
    path.write_text(to_toml(options))
    assert options_from_dict(EbOptions, read_toml(path), str(path)) == options


def test_bad_options_say_what_is_allowed():
    with pytest.raises(
        OptionError, match=r"'parametric', 'local', 'mean'; got 'parametrik'\. Did you mean 'parametric'"
    ):
        EbOptions(trend="parametrik")
    with pytest.raises(OptionError, match=r"fdr must be a number in \(0, 1\); got 1.5"):
        EbOptions(fdr=1.5)
    with pytest.raises(OptionError, match="true or false"):
        EbOptions(cooks_cutoff=1)
    with pytest.raises(OptionError, match="got True"):
        check_range("draws", True, 1, 10)


def test_unknown_keys_get_a_hint():
    with pytest.raises(OptionError, match=r"run\.toml: unknown key 'trends'. Did you mean 'trend'"):
        options_from_dict(EbOptions, {"trends": "mean"}, "run.toml")
    assert nearest("zzz", ["trend"]) == ""


def test_unreadable_toml_is_refused(tmp_path):
    with pytest.raises(OptionError, match="cannot read"):
        read_toml(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("fdr = = 2")
    with pytest.raises(OptionError, match="not valid TOML"):
        read_toml(broken)
