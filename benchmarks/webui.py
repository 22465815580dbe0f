"""What Dagster's web UI asks, in its own words: the GraphQL that its release carries.

The words are in the source maps beside the UI's bundled scripts.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import requests
from graphql import DocumentNode, parse, print_ast, separate_operations
from graphql.language.ast import FragmentDefinitionNode, OperationDefinitionNode

_SECONDS = 300
_DOCUMENT = re.compile(r"gql`(.*?)`", re.DOTALL)
_INCLUDED = re.compile(r"\$\{\w+\}")
"""Fragments of other documents: all are known by their names."""
_Definition = OperationDefinitionNode | FragmentDefinitionNode


class WebUi:
    """Asks a webserver what a browser would ask it.

    Args:
        url: Where the webserver is.
    """

    def __init__(self, url: str) -> None:
        self._url = f"{url}/graphql"
        self._http = requests.Session()
        self._http.trust_env = False

    def ask(self, name: str, /, **variables: object) -> dict[str, Any]:
        """Return the answer to an operation of the UI.

        Args:
            name: The operation's name.
            variables: Its variables.

        Raises:
            RuntimeError: The answer says that something is wrong.
        """
        document = {"operationName": name, "query": operations()[name], "variables": variables}
        response = self._http.post(self._url, json=document, timeout=_SECONDS)
        answer = response.json()
        data: dict[str, Any] = answer.get("data") or {}
        kinds = [str(each["__typename"]) for each in data.values() if isinstance(each, dict)]
        if "errors" in answer or any(kind.endswith("Error") for kind in kinds):
            raise RuntimeError(f"{name}: {response.text[:2000]}")
        return data

    def seconds(self, name: str, /, **variables: object) -> float:
        """Return how long an operation takes, from the question to the whole answer."""
        started = time.perf_counter()
        self.ask(name, **variables)
        return time.perf_counter() - started


@cache
def operations() -> Mapping[str, str]:
    """Return the UI's operations, each with the fragments that it needs, by name."""
    found: dict[str, _Definition] = {}
    folder = files("dagster_webserver") / "webapp" / "build" / "_next" / "static" / "chunks"
    for file in folder.iterdir():
        if file.name.endswith(".js.map"):
            document = json.loads(file.read_text(encoding="utf-8"))
            # What is left out has no text.
            texts = zip(document["sources"], document.get("sourcesContent", ()), strict=False)
            for source, text in texts:
                if "/ui-core/src/" in source:
                    found |= _definitions(text or "")
    whole = DocumentNode(definitions=tuple(found.values()))
    # Its client asks for the type of every object.
    return {
        name: print_ast(part).replace("{\n", "{\n__typename\n")
        for name, part in separate_operations(whole).items()
    }


def _definitions(text: str) -> dict[str, _Definition]:
    return {
        definition.name.value: definition
        for piece in _DOCUMENT.findall(text)
        for definition in parse(_INCLUDED.sub("", piece), no_location=True).definitions
        if isinstance(definition, _Definition) and definition.name
    }
