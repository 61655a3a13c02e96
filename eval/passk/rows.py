"""The few fields of a stored sample that counting needs, decoded without building the rest."""

from typing import Annotated, Any

import msgspec

# Bits of generation ids are kept in one integer a question, so an absurd id must not ask for gigabytes.
GenerationId = Annotated[int, msgspec.Meta(ge=0, lt=1_000_000)]


class Row(msgspec.Struct, gc=False):
    """One sample; the fields that the paper's own evaluation does not write have defaults."""

    question_id: int | str
    generation_id: GenerationId
    label: bool | None
    pred_answer: msgspec.Raw = msgspec.Raw(b"null")
    question: msgspec.Raw = msgspec.Raw(b"null")
    error: str | None = None
    finish_reason: str | None = None
    tokens: int = 0
    kind: Any = None  # of whatever type others have under this name


decode_row = msgspec.json.Decoder(Row).decode


def failed(error: str | None) -> bool:
    """Whether a stored ``error`` blames the verifier; any other text describes the response."""
    return error is not None and error.startswith("error:")


def timed_out(error: str | None) -> bool:
    """Whether a stored ``error`` says that the verifier ran out of time."""
    return error is not None and error.startswith("timeout")
