"""Our own style, script and icon, the vendored libraries, and the health check.

Everything is read and compressed once, at the first request for it: the files never change while
the process lives. Their addresses carry a hash, so that browsers may keep them for ever. Pages
themselves are not compressed: compression beside a secret and a searched word tells the secret.
"""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, abort, request

from ratwall_web.guard import public

STATIC = Path(__file__).parent.parent / "static"
# Below one TCP segment compression saves nothing.
COMPRESS_FROM = 1400
HASH_DIGITS = 16
KEEP_FOR_EVER = "public, max-age=31536000, immutable"

blueprint = Blueprint("assets", __name__)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    media_type: str
    plain: bytes
    compressed: bytes | None
    version: str


@blueprint.get("/static/<path:name>")
@public
def static(name: str) -> Response:
    """Send one static file."""
    if name not in _names():
        abort(404)
    asset = _load(name)
    response = Response(asset.plain, mimetype=asset.media_type)
    if asset.compressed is not None:
        response.vary.add("Accept-Encoding")
        if request.accept_encodings["gzip"] > 0:
            response.set_data(asset.compressed)
            response.content_encoding = "gzip"
    if request.args.get("v") == asset.version:
        response.headers["Cache-Control"] = KEEP_FOR_EVER
    return response


@blueprint.get("/healthz")
@public
def healthz() -> Response:
    """Say that this process answers, and nothing else."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.app_template_global()
def asset(name: str) -> str:
    """Return the address of a static file, with the hash of its content."""
    return f"/static/{name}?v={_load(name).version}"


@cache
def _names() -> frozenset[str]:
    files = (path for path in STATIC.rglob("*") if path.is_file())
    return frozenset(path.relative_to(STATIC).as_posix() for path in files)


@cache
def _load(name: str) -> Asset:
    plain = (STATIC / name).read_bytes()
    media_type = mimetypes.guess_type(name)[0] or "text/plain"
    compressed = gzip.compress(plain, mtime=0) if len(plain) >= COMPRESS_FROM else None
    version = hashlib.sha256(plain).hexdigest()[:HASH_DIGITS]
    return Asset(media_type, plain, compressed, version)
