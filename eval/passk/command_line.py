"""A function as a command, its parameters as flags (Fire); checked as a whole before it runs.

Fire itself calls the function first and complains about what it does not know afterwards: a misspelt flag would cost an evaluation
with another setting. And it takes values as they come, whatever the annotations say.
"""

import functools
import inspect
import operator
import sys
import typing
from collections.abc import Callable
from typing import Any, Literal, Union

import fire
import msgspec

EXIT_CODE = 2
TEXTS = (str, str | None)


def run(function: Callable[..., None], program: str) -> None:
    """Run ``function`` with the flags of this process; unknown ones and wrong values end it with exit code 2 before.

    Args:
        function: its annotations say what each flag may be, ranges as ``Annotated[int, msgspec.Meta(ge=1)]``.
        program: what error messages begin with.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    given = parsed(function)
    if given is None:  # asked for help
        return
    try:
        checked = {name: check(name, value, hints[name]) for name, value in given.items()}
    except ValueError as error:
        print(f"{program}: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE)
    function(**checked)


def parsed(function: Callable[..., None]) -> dict[str, Any] | None:
    """The flags of this process, as Fire reads them for ``function``, which is not called."""
    plain = {name: as_text(hint) for name, hint in typing.get_type_hints(function).items()}
    signature = inspect.signature(function)
    signature = signature.replace(
        parameters=[one.replace(annotation=plain[name]) for name, one in signature.parameters.items()]
    )
    given: list[dict[str, Any]] = []

    def remember(*args: Any, **flags: Any) -> None:
        given.append(signature.bind(*args, **flags).arguments)

    remember.__doc__, remember.__signature__ = function.__doc__, signature  # type: ignore[attr-defined]
    fire.Fire(remember)
    return given[0] if given else None


def as_text(hint: Any) -> Any:
    """``hint`` in a form that reads well in Fire's help, where ranges have been taken out."""
    return functools.reduce(operator.or_, typing.get_args(hint)) if typing.get_origin(hint) is Union else hint


def check(name: str, value: Any, hint: Any) -> Any:
    """A flag's value as ``hint`` wants it.

    Raises:
        ValueError: if it is none that ``hint`` allows; one line names the flag, the value and what is allowed.
    """
    if typing.get_origin(hint) is Literal and value not in typing.get_args(hint):
        raise ValueError(f"--{name} {value}: choose one of {', '.join(typing.get_args(hint))}")
    if hint in TEXTS and type(value) in (int, float):  # Fire reads a folder 2024 as a number
        return str(value)
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        said = str(error).replace("`", "").replace(" | null", "").replace("Expected", "expected")
        raise ValueError(f"--{name} {value}: {said}") from error
