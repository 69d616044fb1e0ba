"""The contract as text, in the form that somebody asks for. Prints nothing."""

import json
from typing import Literal

from bridge.contract import asyncapi, markdown, schemas


def text(form: Literal["asyncapi", "jsonschema", "markdown"]) -> str:
    """The whole contract."""
    if form == "markdown":
        return markdown.document()
    made = asyncapi.document() if form == "asyncapi" else schemas.document()
    return json.dumps(made, indent=2, ensure_ascii=False)
