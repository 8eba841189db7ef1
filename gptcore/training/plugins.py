"""Parts of a learner's own: a Python file that adds a norm, a feed-forward layer or a position scheme by name.

    from torch import nn
    from gptcore.norms import NORMS, RMSNorm

    class Halved(RMSNorm):
        def forward(self, x):
            return super().forward(x) / 2

    NORMS["halved"] = Halved

From then on `norm=halved` is as good as any other. A plugin is ordinary code and may do anything: it is run where a
command names it, and never because a run or an upload holds one.
"""

from pathlib import Path

from gptcore.config import ConfigError
from gptcore.feedforward import FEEDFORWARDS
from gptcore.files import read_bytes
from gptcore.norms import NORMS
from gptcore.positions import POSITIONS

MAX_BYTES = 10_000_000
TABLES = {"norm": NORMS, "ffn": FEEDFORWARDS, "position": POSITIONS}
# What the account asks of a part, so that a model can be weighed before it is built.
_COUNTED = {"norm": "n_weights", "ffn": "n_matrices", "position": "angles"}
_OURS = {field: dict(table) for field, table in TABLES.items()}


def load(path: str | Path) -> dict[str, list[str]]:
    """Run a plugin; return the names it added, by the field that takes them. Raises ConfigError in one sentence."""
    try:
        code = compile(read_bytes(path, MAX_BYTES), str(path), "exec")
    except OSError as error:
        raise ConfigError(f"the plugin {path} cannot be read: {error.strerror}") from error
    except SyntaxError as error:
        line = f" in line {error.lineno}" if error.lineno else ""
        raise ConfigError(f"the plugin {path} is not valid Python{line}: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"the plugin {path} is not valid Python: {error}") from error
    before = {field: dict(table) for field, table in TABLES.items()}
    try:
        exec(code, {"__name__": "glassbox_plugin", "__file__": str(path)})
        return _added(path, before)
    except (Exception, SystemExit) as error:
        for field, table in TABLES.items():
            table.clear()
            table.update(before[field])
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"the plugin {path} stopped with {type(error).__name__}: {error}") from error


def _added(path: str | Path, before: dict[str, dict]) -> dict[str, list[str]]:
    added = {}
    for field, table in TABLES.items():
        added[field] = [name for name, part in table.items() if part is not before[field].get(name)]
        for name in added[field]:
            if name in _OURS[field]:
                raise ConfigError(
                    f"the plugin {path} replaces {field}={name}, which exists; choose another name"
                )
            if not hasattr(table[name], _COUNTED[field]):
                raise ConfigError(f"the plugin {path} adds {field}={name} without {_COUNTED[field]}")
    if not any(added.values()):
        raise ConfigError(f"the plugin {path} must add an entry to NORMS, FEEDFORWARDS or POSITIONS")
    return added
