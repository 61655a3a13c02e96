"""Read a specification from its file; whatever is wrong with it is said in one line each."""

from pathlib import Path

import msgspec
from omegaconf import OmegaConf
from yaml import YAMLError

from rlvr.study.checks import check
from rlvr.study.spec import Spec, SpecError


def load(path: Path) -> Spec:
    """The specification in a file.

    Raises:
        SpecError: if it cannot be read or is wrong; one line each.
    """
    try:
        text = OmegaConf.to_container(OmegaConf.load(path))  # refuses repeated keys, and reads 1e-4 as a number
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror or error}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    try:
        spec = msgspec.convert(text, Spec, strict=False)
    except msgspec.ValidationError as error:
        raise SpecError(f"{path}: {error}") from None
    problems = [f"{path}: {problem}" for problem in check(spec)]
    if problems:
        raise SpecError("\n".join(problems))
    return spec
