"""The generator of the OpenAPI document, and the page that shows it; the real table has its own tests."""

import asyncio
import hashlib
import re
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from openapi_spec_validator import OpenAPIV31SpecValidator

from dispatcher.ingest.openapi import PAGE, POLICY, SCRIPT_PATH, Answer, Operation, Pages, Parameter, document

RAPIDOC_9_3_8 = "affbd173a65e870e18f392cca963113bcdafb6e50e88cd2f6a834a65b22db94d"
"""SHA-256 of dist/rapidoc-min.js as the npm package has it."""


class Problem(Struct):
    """What was wrong."""

    status: int
    code: str


class Thing(Struct, forbid_unknown_fields=True):
    """A thing."""

    name: str
    size: int | None = None


STATUSES = {"malformed": 400, "too_small": 400, "unauthorized": 401, "overloaded": 503}
LIST = {"type": "array", "items": {"anyOf": [Thing, Problem]}}
TABLE = (
    Operation(
        "POST", "/things", "makeThing", "Make one", (Answer(202, "Made.", {"application/json": Thing}),),
        ("too_small", "malformed", "overloaded"), bodies={"application/json": Thing},
        example={"name": "a thing"},
    ),
    Operation(
        "GET", "/things/{id}", "getThings", "Get some", (Answer(200, "Here.", {"application/json": LIST}),),
        parameters=(
            Parameter("id", "path", {"type": "string"}),
            Parameter("most", "query", {"type": "integer"}),
        ),
    ),
    Operation("GET", "/", "getPage", "The page", (Answer(200, "It.", {"text/html": {"type": "string"}}),),
              is_public=True),
)  # fmt: skip


def made(*table: Operation) -> dict[str, Any]:
    """Return the document of a table, as who asks for it reads it."""
    found = document(table or TABLE, Problem, STATUSES, title="Things", version="1", of_all=("unauthorized",))
    read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return read


def test_it_is_valid() -> None:
    """Another's validator finds nothing wrong, and does find what is."""
    assert [error.message for error in OpenAPIV31SpecValidator(made()).iter_errors()] == []
    broken = made()
    del broken["paths"]["/things/{id}"]["get"]["parameters"]
    assert list(OpenAPIV31SpecValidator(broken).iter_errors())


def test_types_become_components() -> None:
    """A type stands once, by its name, as strict as it is decoded, and is referred to."""
    found = made()
    assert set(found["components"]["schemas"]) == {"Problem", "Thing"}
    thing = found["components"]["schemas"]["Thing"]
    assert (thing["additionalProperties"], thing["required"]) == (False, ["name"])
    asked = found["paths"]["/things"]["post"]["requestBody"]["content"]["application/json"]
    assert asked == {"schema": {"$ref": "#/components/schemas/Thing"}, "example": {"name": "a thing"}}
    listed = found["paths"]["/things/{id}"]["get"]["responses"]["200"]["content"]["application/json"][
        "schema"
    ]
    assert listed["items"]["anyOf"][1] == {"$ref": "#/components/schemas/Problem"}


def test_problems_stand_by_status_with_their_codes() -> None:
    """Each code is allowed with its own status only; 503 says when to come again."""
    answers = made()["paths"]["/things"]["post"]["responses"]
    assert set(answers) == {"202", "400", "401", "503"}
    own = answers["400"]["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]
    assert own == {"code": {"enum": ["malformed", "too_small"]}, "status": {"const": 400}}
    assert "Retry-After" in answers["503"]["headers"]
    assert "headers" not in answers["400"]
    page = made()["paths"]["/"]["get"]
    assert set(page["responses"]) == {"200"}
    assert page["security"] == []
    assert "security" not in made()["paths"]["/things"]["post"]


def test_a_code_without_a_status_is_a_slip() -> None:
    """A row that names a code which the server does not have is found when the document is made."""
    with pytest.raises(KeyError, match="unheard_of"):
        made(TABLE[0]._replace(problems=("unheard_of",)))


class Addresses(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.fonts: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note addresses."""
        self.found += [value or "" for name, value in attrs if re.search(r"src|href|url$|action", name)]
        self.fonts += [value for name, value in attrs if name == "load-fonts"]


def test_the_page_loads_nothing_from_outside() -> None:
    """Every address of the page is a path of ours, typefaces are not asked for, and nothing stands inline."""
    page = Addresses()
    page.feed(PAGE)
    assert page.found == [SCRIPT_PATH, "/openapi.json"]
    assert page.fonts == ["false"]
    assert "//" not in PAGE
    assert re.search(r"<script[^>]*></script>", PAGE)
    assert not re.search(r"\son[a-z]+=", PAGE)


def test_the_policy_allows_no_other_host() -> None:
    """The browser is told: nothing but what this server gives; no source has a host or a wildcard."""
    rules = dict(rule.strip().split(" ", 1) for rule in POLICY.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["connect-src"] == "'self'"
    assert {source for rule in rules.values() for source in rule.split()} <= {
        "'none'", "'self'", "'unsafe-inline'", "data:",
    }  # fmt: skip


def test_the_script_is_as_it_was_published() -> None:
    """RapiDoc 9.3.8 to the octet, with its licence beside it."""
    folder = files("dispatcher.ingest").joinpath("rapidoc")
    assert hashlib.sha256(folder.joinpath("rapidoc-min.js").read_bytes()).hexdigest() == RAPIDOC_9_3_8
    assert "MIT" in folder.joinpath("LICENSE.txt").read_text("utf-8")


async def served() -> list[Any]:
    """Return what the three handlers answer."""
    pages = Pages(made())
    return [await each(None) for each in (pages.document, pages.page, pages.script)]


def test_handlers() -> None:
    """Document, page and script come with the policy and their type."""
    shown, page, script = asyncio.run(served())
    assert msgspec.json.decode(shown.body) == made()
    assert [each.content_type for each in (shown, page, script)] == [
        "application/json", "text/html", "text/javascript",
    ]  # fmt: skip
    assert {each.headers["Content-Security-Policy"] for each in (shown, page, script)} == {POLICY}
    assert len(script.body) > 800_000
