"""Microsoft's own description of Graph's types (CSDL), to hold the stand-in and its callers against.

The file is read from the folder named by SERVICEDESK_TEST_SCHEMAS; without it nothing is checked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

_NAMESPACE = "{http://docs.oasis-open.org/odata/ns/edm}"
_COLLECTION = re.compile(r"Collection\((.+)\)")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
# Types that the cut-out names and does not hold: their own fields are not looked at.
_NOT_HELD = {"graph.followupFlag", "graph.singleValueLegacyExtendedProperty"}
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


class SchemaError(AssertionError):
    """Something that is not as Microsoft describes it."""


class GraphSchema:
    """Properties by type: entity and complex types with what they inherit, enumerations, actions."""

    def __init__(self, file: Path) -> None:
        root = ElementTree.parse(file).getroot()  # noqa: S314
        self._types: dict[str, dict[str, str]] = {}
        self._enumerations: dict[str, set[str]] = {}
        self.actions: dict[str, dict[str, str]] = {}
        declared = {
            one.attrib["Name"]: one
            for kind in ("EntityType", "ComplexType")
            for one in root.iter(_NAMESPACE + kind)
        }
        for name in declared:
            self._types[f"graph.{name}"] = self._properties(name, declared)
        for one in root.iter(_NAMESPACE + "EnumType"):
            members = {member.attrib["Name"].lower() for member in one.iter(_NAMESPACE + "Member")}
            self._enumerations[f"graph.{one.attrib['Name']}"] = members
        for one in root.iter(_NAMESPACE + "Action"):
            parameters = list(one.iter(_NAMESPACE + "Parameter"))[1:]
            self.actions[one.attrib["Name"]] = {
                p.attrib["Name"].lower(): p.attrib["Type"] for p in parameters
            }

    @classmethod
    def find(cls) -> GraphSchema | None:
        folder = os.environ.get("SERVICEDESK_TEST_SCHEMAS")
        return cls(Path(folder) / "graph-schema" / "mail.csdl") if folder else None

    def check_select(self, names: str, kind: str) -> None:
        """Every selected name must be a property of the type."""
        for name in names.split(","):
            if name not in self._types[kind]:
                raise SchemaError(f"{kind} has no property {name!r}")

    def check_object(self, value: object, kind: str) -> None:
        """An object of that type: every name known, every value of its type. Annotations (@) may stand."""
        if not isinstance(value, Mapping):
            raise SchemaError(f"{kind} is no object: {value!r}")
        for name, one in value.items():
            if name.startswith("@"):
                continue
            if name not in self._types[kind]:
                raise SchemaError(f"{kind} has no property {name!r}")
            self.check(one, self._types[kind][name], f"{kind}.{name}")

    def check(self, value: object, kind: str, where: str) -> None:
        if value is None:
            return
        if collection := _COLLECTION.fullmatch(kind):
            if not isinstance(value, list):
                raise SchemaError(f"{where} is no collection: {value!r}")
            for one in value:
                self.check(one, collection[1], where)
        elif kind in self._types:
            self.check_object(value, kind)
        elif kind in self._enumerations:
            if str(value).lower() not in self._enumerations[kind]:  # "HTML" is what others send
                raise SchemaError(f"{where} is none of {self._enumerations[kind]}: {value!r}")
        elif kind not in _NOT_HELD and not _is_primitive(value, kind):
            raise SchemaError(f"{where} is no {kind}: {value!r}")

    def check_action(self, name: str, body: Mapping[str, object]) -> None:
        """The parameters of an action; their names are compared without case, as Graph does."""
        for parameter, value in body.items():
            kind = self.actions[name].get(parameter.lower())
            if kind is None:
                raise SchemaError(f"{name} has no parameter {parameter!r}")
            self.check(value, kind, f"{name}.{parameter}")

    def _properties(self, name: str, declared: Mapping[str, ElementTree.Element]) -> dict[str, str]:
        element = declared[name]
        base = element.attrib.get("BaseType", "").removeprefix("graph.")
        found = self._properties(base, declared) if base else {}
        for kind in ("Property", "NavigationProperty"):
            found |= {one.attrib["Name"]: one.attrib["Type"] for one in element.iter(_NAMESPACE + kind)}
        return found


def _is_primitive(value: object, kind: str) -> bool:
    match kind:
        case "Edm.Boolean":
            return isinstance(value, bool)
        case "Edm.Int32" | "Edm.Int64":
            return isinstance(value, int) and not isinstance(value, bool)
        case "Edm.DateTimeOffset":
            return isinstance(value, str) and _MOMENT.fullmatch(value) is not None
        case "Edm.Binary":
            return isinstance(value, str) and _BASE64.fullmatch(value) is not None
        case "Edm.String":
            return isinstance(value, str)
    return False
