"""Schemas are read off structs: their fields, and what the docstrings say of each."""

from typing import Any

import jsonschema
import msgspec
from msgspec import Struct, field

from mirror.report.schemas import schema_of


class Inner(Struct, tag="inner"):
    """A part.

    Attributes:
        size_bytes: how large,
            to the byte.
    """

    size_bytes: int = field(name="size")


class Other(Struct, tag="other"):
    """Another part."""

    name: str


class Outer(Struct):
    """A whole.

    More of it.

    Attributes:
        parts: what it has.
        note: or null.
    """

    parts: list[Inner]
    note: str | None = None


def described(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """The properties of a struct that have a description, by their names in JSON."""
    properties: dict[str, Any] = schema["$defs"][name]["properties"]
    return {key: what["description"] for key, what in properties.items() if "description" in what}


def test_attributes_describe_properties() -> None:
    """Under the name that the field has in JSON; the struct keeps the rest of its docstring."""
    schema = schema_of(Outer, title="a whole")
    assert schema["title"] == "a whole"
    assert schema["$defs"]["Outer"]["description"] == "A whole.\n\nMore of it."
    assert described(schema, "Outer") == {"parts": "what it has.", "note": "or null."}


def test_values_validate() -> None:
    """What the struct encodes to is valid, anything else is not."""
    validator = jsonschema.Draft202012Validator(schema_of(Outer, title=""))
    validator.validate(msgspec.to_builtins(Outer([Inner(3)])))
    assert not validator.is_valid({"note": 3})


def test_an_array_of_either() -> None:
    """Several structs are alternatives; an array is of any of them."""
    schema = schema_of(Inner, Other, title="", is_array=True)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(msgspec.to_builtins([Inner(3), Other("x")]))
    assert not validator.is_valid([{"type": "third"}])
