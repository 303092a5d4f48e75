"""Doors beside /v1: the document and its page, and Kannel's sendsms. Given to the server as more routes."""

from collections.abc import Sequence
from functools import partial

from aiohttp import web

from dispatcher.ingest import kannel, openapi
from dispatcher.ingest.intake import Caller, Intake
from dispatcher.ingest.operations import described
from dispatcher.ingest.service import Call, Route, read_body
from dispatcher.model import Accepted, Refused, SendRequest


def documentation(version: str, *, with_kannel: bool = False) -> tuple[Route, ...]:
    """Return the routes of the document. Reads RapiDoc from disk: before the server starts."""
    pages = openapi.Pages(described(version, with_kannel=with_kannel))
    return (
        Route("GET", openapi.DOCUMENT_PATH, pages.document, is_public=True),
        Route("GET", openapi.PAGE_PATH, pages.page, is_public=True),
        Route("GET", openapi.SCRIPT_PATH, pages.script, is_public=True),
    )


def sendsms(page: kannel.Kannel) -> tuple[Route, ...]:
    """Return the routes of Kannel's page; it looks after passwords itself."""

    async def get(call: Call) -> web.StreamResponse:
        return await page.get(call.request, partial(_take, call.service.intake))

    async def post(call: Call) -> web.StreamResponse:
        return await page.post(call.request, await read_body(call), partial(_take, call.service.intake))

    return (
        Route("GET", kannel.PATH, get, is_public=True),
        Route("POST", kannel.PATH, post, is_public=True),
    )


async def _take(intake: Intake, requests: Sequence[SendRequest]) -> Sequence[Accepted | Refused]:
    """Take what one user of Kannel's page sends: the door's own limits are his, too."""
    source = requests[0].source
    return await intake.take(Caller(source=source, key_id=source, may_read_all=False), requests)
