"""Functions whose keywords are the fields of an option class."""

import dataclasses
import inspect

import pytest

from bayesde import OptionError, fit_posterior
from bayesde.options import options_of
from bayesde.posterior.engines import ENGINES
from bayesde.posterior.options import EngineKeywords, EngineRunOptions


def test_type_checkers_know_the_fields():
    fields = {entry.name: entry.type for entry in dataclasses.fields(EngineRunOptions)}
    assert list(EngineKeywords.__annotations__) == list(fields)
    for name, kind in fields.items():
        if name != "directory":  # str or path, which is kept as str
            assert EngineKeywords.__annotations__[name].__forward_arg__ == kind


def test_the_signature_shows_the_fields_with_their_defaults():
    parameters = inspect.signature(fit_posterior).parameters
    for entry in dataclasses.fields(EngineRunOptions):
        assert parameters[entry.name].default == entry.default
        assert parameters[entry.name].kind is inspect.Parameter.KEYWORD_ONLY
        assert f"\n{entry.name} : " in fit_posterior.__doc__
    assert list(parameters)[:2] == ["counts", "design"]
    assert "sampler" not in parameters
    assert "**" not in fit_posterior.__doc__


def test_every_engine_has_a_word():
    assert list(ENGINES) == list(options_of(EngineRunOptions)["engine"][1].kind.allowed)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"drawz": 100}, r"fit_posterior\(\) has no argument 'drawz'\. Did you mean 'draws'\?"),
        ({"gens": ["a"]}, "Did you mean 'genes'"),
        (
            {"engine": "nutz"},
            "engine must be one of 'psis', 'nuts', 'joint'; got 'nutz'. Did you mean 'nuts'",
        ),
        ({"draws": 99}, "draws must be a whole number from 100 to 1000000; got 99"),
        ({"draws": 3, "engine": "nuts"}, "draws must be a whole number from 4 to"),
        ({"workers": 0}, "workers must be a whole number from 1 to 1024; got 0"),
        ({"seed": -1}, "seed must be a whole number from 0 to"),
    ],
)
def test_bad_keywords_are_refused_before_anything_is_computed(keywords, words):
    with pytest.raises(OptionError, match=words):
        fit_posterior(None, "~ a", **keywords)
