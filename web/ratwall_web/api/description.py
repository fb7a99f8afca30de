"""The API's own description, OpenAPI 3.1: the file of this folder, as it is."""

from pathlib import Path

from flask import Blueprint, Response
from werkzeug.wrappers import Response as BaseResponse

from ratwall_web.api.answers import tagged, take_parameters

PATH = Path(__file__).with_name("openapi.json")

blueprint = Blueprint("api_description", __name__, url_prefix="/api/v1")


@blueprint.get("/openapi.json")
def openapi() -> BaseResponse:
    """Return the description."""
    take_parameters()
    body = PATH.read_bytes()
    return tagged(Response(body, content_type="application/json"), body)
