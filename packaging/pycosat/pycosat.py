"""All solutions of a formula in conjunctive normal form, by python-sat: what reasoning-gym calls of pycosat."""

from collections.abc import Iterable, Iterator

from pysat.solvers import Minisat22


def itersolve(clauses: Iterable[Iterable[int]]) -> Iterator[list[int]]:
    """Each solution as the variables 1, 2, …, negative where false."""
    with Minisat22(bootstrap_with=clauses) as solver:
        yield from solver.enum_models()
