"""``key=value`` of another type than the key's default: verl's configuration has no types, and a text is true wherever it stands.

``trainer.val_before_train=no`` would validate, and ``trainer.test_freq=often`` end the run at its first step. Deliberately left
out: keys whose default is a text, a list or null.
"""

from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

GROUP_MARKS = ("/", "@")
# Numbers, or a text that whoever reads it checks: "all"; "0.5_2.0", lower and upper.
ALSO_TEXTS = ("trainer.samples_per_step", "algorithm.rollout_correction.rollout_is_threshold")


def check_run(config: DictConfig) -> Iterator[str]:
    """:func:`check` on the configuration that Hydra's callbacks get, which says how it was composed."""
    return check(config, config.hydra.job.config_name, list(config.hydra.overrides.task))


def check(config: DictConfig, config_name: str, overrides: Sequence[str]) -> Iterator[str]:
    """One line for each override of another type; to be called while Hydra knows the configuration's folders.

    Args:
        config: composed with ``overrides``.
        config_name: the primary configuration.
        overrides: as on the command line.
    """
    loader = GlobalHydra.instance().config_loader()
    groups = loader.list_groups("")
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    defaults = loader.load_configuration(
        config_name, [str(one.input_line) for one in parsed if _is_choice(one, groups)], run_mode=RunMode.RUN
    )
    changed = [one for one in parsed if one.type is OverrideType.CHANGE and not _is_choice(one, groups)]
    keys = dict.fromkeys(one.key_or_group for one in changed if one.key_or_group not in ALSO_TEXTS)
    for key in keys:
        default, value = OmegaConf.select(defaults, key), OmegaConf.select(config, key)
        if wanted := wanted_instead(default, value):
            yield f"{key}={value} must be {wanted} (default: {_as_written(default)})"


def wanted_instead(default: Any, value: Any) -> str | None:
    """What a value must be whose key has that default, if it is not; null goes everywhere."""
    if value is None:
        return None
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    if isinstance(default, Real):
        return None if isinstance(value, Real) and not isinstance(value, bool) else "a number"
    return None


def _is_choice(one: Override, groups: Sequence[str]) -> bool:
    """Whether an override chooses a file of a group, or says where the files are."""
    key = one.key_or_group
    return key in groups or key == "hydra.searchpath" or any(mark in key for mark in GROUP_MARKS)


def _as_written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
