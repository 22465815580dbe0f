"""The schema and the example of the universe file."""

import json
from pathlib import Path

from pipeline.universe import json_schema, load_universe, values

ROOT = Path(__file__).parents[3]


def test_the_committed_schema_is_the_one_of_the_models() -> None:
    committed = json.loads((ROOT / "docs" / "universe.schema.json").read_text())
    assert committed == json_schema(), "run `make schema` and commit docs/universe.schema.json"


def test_the_schema_knows_both_forms_of_a_listing_and_describes_every_key() -> None:
    schema = json_schema()
    short, long = schema["$defs"]["ListingConfig"]["anyOf"]
    assert (short["type"], short["minLength"]) == ("string", 1)
    assert (long["type"], long["required"]) == ("object", ["symbol"])
    for model in (
        schema,
        long,
        *(
            schema["$defs"][f"{name}Config"]
            for name in ("Provider", "Instrument", "Limit", "Session")
        ),
    ):
        assert model["additionalProperties"] is False
        for name, option in model["properties"].items():
            assert option["description"], name


def test_the_schema_refuses_the_names_that_the_models_refuse() -> None:
    schema = json_schema()
    named = {"providers": values.PROVIDER, "instruments": values.KEY, "sessions": r"\S"}
    for name, pattern in named.items():
        names = schema["properties"][name]
        assert list(names["patternProperties"]) == [pattern]
        assert names["additionalProperties"] is False


def test_the_example_universe_is_a_good_one() -> None:
    example = ROOT / "universe.example.yaml"
    universe = load_universe(example)
    assert set(universe.providers) == {"bitfinex", "binance", "kraken", "coinbase"}
    assert all(universe.listings(provider) for provider in universe.providers)
    first = example.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=docs/universe.schema.json"
