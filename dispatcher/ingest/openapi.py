"""An OpenAPI 3.1 document from a table of operations, and a page that shows it without any outside host.

Schemas come from the types that the handlers decode and encode, so that they cannot drift apart from them; a
docstring under a field is not seen by msgspec, and the tables describe what a name does not say.

The page is RapiDoc (MIT; the folder rapidoc/ has it as it was published, with its licence). It may load
nothing but itself and the document: the Content-Security-Policy says so to the browser.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web

Schema = type | Mapping[str, Any]
"""A Struct, or JSON Schema, in which Structs may stand."""

VERSION: Final = "3.1.0"
COMPONENTS: Final = "#/components/schemas/{name}"
PROBLEM_JSON: Final = "application/problem+json"
JSON: Final = "application/json"
SCHEME: Final = "key"
"""The name of the security scheme."""


class Parameter(NamedTuple):
    """One parameter. `place`: query, path or header."""

    name: str
    place: str
    schema: Schema
    description: str = ""
    is_required: bool = False


class Answer(NamedTuple):
    """One good answer; bodies by media type."""

    status: int
    description: str
    bodies: Mapping[str, Schema]


class Operation(NamedTuple):
    """One row of the table of what can be asked."""

    method: str
    path: str
    name: str
    """operationId: clients that are generated name their functions so."""
    summary: str
    answers: tuple[Answer, ...]
    problems: tuple[str, ...] = ()
    """Codes that it may end with, beside those of all."""
    parameters: tuple[Parameter, ...] = ()
    bodies: Mapping[str, Schema] = {}
    """What is sent, by media type."""
    description: str = ""
    is_public: bool = False
    """No key is asked for."""
    example: Mapping[str, Any] | None = None
    """Of what is sent as JSON."""


def document(
    operations: Sequence[Operation],
    problem: type,
    statuses: Mapping[str, int],
    *,
    title: str,
    version: str,
    description: str = "",
    of_all: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the document.

    `problem` is the type of what is not well, `statuses` the status of each of its codes, `of_all` the codes
    that every operation may end with. KeyError: a code without a status.
    """
    types: dict[str, type] = {problem.__name__: problem}
    paths: dict[str, dict[str, Any]] = {}
    for row in operations:
        codes = row.problems if row.is_public else (*of_all, *row.problems)
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, codes, problem, statuses, types)
    _, components = msgspec.json.schema_components(list(types.values()), ref_template=COMPONENTS)
    return {
        "openapi": VERSION,
        "info": {"title": title, "version": version, "description": description},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {SCHEME: {"type": "http", "scheme": "bearer"}},
        },
        "security": [{SCHEME: []}],
    }


def _operation(
    row: Operation,
    codes: Sequence[str],
    problem: type,
    statuses: Mapping[str, int],
    types: dict[str, type],
) -> dict[str, Any]:
    answers = {
        str(each.status): {"description": each.description, "content": _content(each.bodies, types)}
        for each in row.answers
    }
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(statuses[code], []).append(code)
    for status, its in sorted(by_status.items()):
        answers[str(status)] = _problem(status, sorted(set(its)), problem)
    found: dict[str, Any] = {"operationId": row.name, "summary": row.summary, "responses": answers}
    if row.description:
        found["description"] = row.description
    if row.parameters:
        found["parameters"] = [_parameter(each, types) for each in row.parameters]
    if row.bodies:
        content = _content(row.bodies, types)
        if row.example is not None:
            content[JSON]["example"] = row.example
        found["requestBody"] = {"required": True, "content": content}
    if row.is_public:
        found["security"] = []
    return found


def _problem(status: int, codes: list[str], problem: type) -> dict[str, Any]:
    own = {"properties": {"code": {"enum": codes}, "status": {"const": status}}}
    schema = {"allOf": [{"$ref": COMPONENTS.format(name=problem.__name__)}, own]}
    said = f"{HTTPStatus(status).phrase}: {', '.join(codes)}."
    found: dict[str, Any] = {"description": said, "content": {PROBLEM_JSON: {"schema": schema}}}
    if status in (429, 503):
        seconds = {"description": "Seconds.", "schema": {"type": "string", "pattern": "^[0-9]+$"}}
        found["headers"] = {"Retry-After": seconds}
    return found


def _parameter(row: Parameter, types: dict[str, type]) -> dict[str, Any]:
    found = {"name": row.name, "in": row.place, "schema": _resolved(row.schema, types)}
    if row.description:
        found["description"] = row.description
    if row.is_required or row.place == "path":
        found["required"] = True
    return found


def _content(bodies: Mapping[str, Schema], types: dict[str, type]) -> dict[str, Any]:
    return {media_type: {"schema": _resolved(schema, types)} for media_type, schema in bodies.items()}


def _resolved(schema: Any, types: dict[str, type]) -> Any:
    """Return a schema with references where types stand in it; the types are noted."""
    if isinstance(schema, type):
        types[schema.__name__] = schema
        return {"$ref": COMPONENTS.format(name=schema.__name__)}
    if isinstance(schema, Mapping):
        return {key: _resolved(value, types) for key, value in schema.items()}
    if isinstance(schema, list | tuple):
        return [_resolved(each, types) for each in schema]
    return schema


# ---- the page ----

DOCUMENT_PATH: Final = "/openapi.json"
PAGE_PATH: Final = "/docs"
SCRIPT_PATH: Final = "/docs/rapidoc-min.js"
PAGE: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Dispatcher API</title>
<script type="module" src="{SCRIPT_PATH}"></script>
</head>
<body>
<rapi-doc spec-url="{DOCUMENT_PATH}" load-fonts="false" render-style="read" show-header="false"
 allow-server-selection="false" allow-spec-url-load="false" allow-spec-file-load="false"
 persist-auth="false"></rapi-doc>
</body>
</html>
"""
"""load-fonts: the script would ask another host for a typeface. persist-auth: a key is not kept."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Styles stand in the elements that RapiDoc makes; nothing else of the page may come from itself."""
_SAFE: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Pages:
    """What is served of it; handlers for any router, they look at nothing of the request."""

    def __init__(self, described: Mapping[str, Any]) -> None:
        self._document = msgspec.json.format(msgspec.json.encode(described), indent=1)
        # Read when the server is put together: no file is touched while requests come.
        self._script = files("dispatcher.ingest").joinpath("rapidoc/rapidoc-min.js").read_bytes()

    async def document(self, _: object) -> web.Response:
        """GET /openapi.json."""
        return web.Response(body=self._document, content_type=JSON, headers=_SAFE)

    async def page(self, _: object) -> web.Response:
        """GET /docs."""
        return web.Response(text=PAGE, content_type="text/html", charset="utf-8", headers=_SAFE)

    async def script(self, _: object) -> web.Response:
        """GET /docs/rapidoc-min.js."""
        return web.Response(body=self._script, content_type="text/javascript", charset="utf-8", headers=_SAFE)
