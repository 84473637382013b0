"""The page at `/` to try the served models on: static files, and the list of what is served."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from training.serving.server.models import Models

FOLDER = Path(__file__).parent / "page"
FILES = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js"}
HEADERS = {
    # Nothing from other hosts, no code within the page; chosen pictures are blobs.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def routes(models: Models) -> list[Route]:
    """The page's routes."""

    async def file(request: Request) -> Response:
        return FileResponse(FOLDER / FILES[request.url.path], headers=HEADERS)

    async def served(request: Request) -> Response:
        listed = [
            {
                "name": name,
                "versions": [
                    {
                        "number": version.number,
                        "labels": labels,
                        "signatures": sorted(version.definitions),
                        "resizing": version.resizing,
                    }
                    for version, labels in versions
                ],
            }
            for name, versions in models.listed().items()
        ]
        return JSONResponse({"models": listed}, headers=HEADERS)

    return [*(Route(path, file) for path in FILES), Route("/page/models", served)]
