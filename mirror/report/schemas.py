"""JSON Schemas of what `--json` prints, read off our structs and their docstrings."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n     +.*)*)", re.MULTILINE)


def schema_of(*structs: type[Struct], title: str, is_array: bool = False) -> dict[str, Any]:
    """The schema of one of the structs, or of an array of any of them.

    What a docstring says under `Attributes:` becomes the description of each property.
    """
    refs, components = msgspec.json.schema_components(structs, ref_template="#/$defs/{name}")
    encoded = {
        (struct.__name__, field.name): field.encode_name
        for struct in _subclasses(Struct)
        for field in msgspec.structs.fields(struct)
    }
    for owner, definition in components.items():
        text, _, attributes = inspect.cleandoc(definition.pop("description", "")).partition(
            "\n\nAttributes:\n"
        )
        if text:
            definition["description"] = text
        for name, meaning in _ATTRIBUTE.findall(attributes):
            about = {"description": " ".join(meaning.split())}
            key = encoded.get((owner, name), name)
            definition["properties"][key] = about | definition["properties"][key]
    one: dict[str, Any] = {"anyOf": list(refs)} if len(refs) > 1 else {**refs[0]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **({"type": "array", "items": one} if is_array else one),
        "$defs": components,
    }


def _subclasses(of: type[Struct]) -> Iterator[type[Struct]]:
    for struct in of.__subclasses__():
        yield struct
        yield from _subclasses(struct)
