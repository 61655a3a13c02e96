"""The methods as the table of README.md and docs/methods.md:   python -m rlvr.methods"""

import dataclasses
from collections.abc import Iterator

from rlvr.methods import METHODS, Method

HEAD = ("`algorithm.advantage`", "method", "A of a correct sample", "A of an incorrect one", "settings", "paper")


def table() -> str:
    """Markdown, one row a method."""
    rows = [HEAD, ("---",) * len(HEAD), *(tuple(row(name, method)) for name, method in METHODS.items())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def row(name: str, method: type[Method]) -> Iterator[str]:
    yield from (f"`{name}`", method.title, method.on_correct, method.on_incorrect)
    settings = [f"`{field.name}` {field.default:g}" for field in dataclasses.fields(method)]  # type: ignore[arg-type]
    yield ", ".join(settings)
    yield f"[{method.paper}](https://arxiv.org/abs/{method.paper})"


if __name__ == "__main__":
    print(table())
