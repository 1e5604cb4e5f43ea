"""The options of the commands come from option classes, each from one field."""

import pytest

from bayesde.cli.commands import complete_command
from bayesde.cli.options import LIKE, PARTS
from bayesde.options import options_of
from bayesde.simulation import simulate

EB = """out design contrast reference size_factors lfc_threshold shrink shrinkage test reduced alternative
strand control_genes normalization_factors average_lengths weights trend fdr no_filtering no_cooks no_replace
use_t config force scheduler counts samples""".split()
SAMPLE = """out design contrast reference size_factors lfc_threshold strand control_genes genes
normalization_factors average_lengths trend config force workers hyperparameters effects residuals
shrink_coefficient coding scales prior engine draws warmup chains seed no_hand_over outliers scheduler
no_shared_folder
counts samples""".split()


@pytest.mark.parametrize(("command", "names"), [("eb", EB), ("sample", SAMPLE)])
def test_no_option_is_lost(command, names):
    assert sorted(parameter.name for parameter in complete_command(command).params) == sorted(names)


@pytest.mark.parametrize("command", PARTS)
def test_every_option_is_made_from_exactly_one_field(command):
    homes: dict[str, list[str]] = {}
    for part in PARTS[command]:
        for name, (_, one) in options_of(part.kind).items():
            taken = part.fields is None or name in part.fields
            own = LIKE.get(command, command)
            if one.flag and taken and (one.flag.commands is None or own in one.flag.commands):
                spelling = one.flag.names[0] if one.flag.names else one.flag.metavar
                homes.setdefault(spelling, []).append(f"{part.kind.__name__}.{name}")
    found = {
        parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
        for parameter in complete_command(command).params
    }
    assert found == set(homes)
    assert {spelling: fields for spelling, fields in homes.items() if len(fields) > 1} == {}


def test_a_number_of_workers_that_cannot_be_is_refused(bayesde, tmp_path):
    code, _, message = bayesde("resume", tmp_path, "--workers", "0")
    assert code == 2
    assert "workers must be a whole number from 1 to 1024; got 0." in message


def test_a_scheduler_that_does_not_answer_is_bad_input(bayesde, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("bayesde.workers.cluster.CONNECTING", 0.5)
    counts, out = simulate(40, groups=(3, 3), seed=5).counts, tmp_path / "out"
    counts.to_frame().to_csv(tmp_path / "counts.tsv", sep="\t")
    counts.sample_table.to_csv(tmp_path / "samples.tsv", sep="\t", index_label="sample")
    arguments = ("-d", "~ condition", "-o", out, "--scheduler", "tcp://127.0.0.1:1", "--no-shared-folder")
    code, _, said = bayesde("sample", tmp_path / "counts.tsv", tmp_path / "samples.tsv", *arguments)
    assert (code, "no Dask scheduler answers at 'tcp://127.0.0.1:1'" in said) == (2, True)
    assert not out.exists()
