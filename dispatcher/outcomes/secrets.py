"""The secrets of webhooks, from where the configuration says that they are."""

import os
from collections.abc import Mapping
from pathlib import Path

from dispatcher.errors import ConfigError
from dispatcher.faces import Webhook
from dispatcher.outcomes.signature import secret_of


def secrets_of(webhooks: Mapping[str, Webhook], folder: Path) -> dict[str, tuple[bytes, ...]]:
    """Return the keys of each webhook, newest first. ConfigError: one cannot be read, or is none.

    Reads files: not for the loop. Files are in $CREDENTIALS_DIRECTORY, or relative to `folder`.
    """
    return {name: _keys(name, webhook, folder) for name, webhook in webhooks.items()}


def _keys(name: str, webhook: Webhook, folder: Path) -> tuple[bytes, ...]:
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    keys = []
    for index, file in enumerate(webhook.secret_files):
        at = f"webhooks.{name}.secret_files[{index}]"
        path = Path(credentials, file) if credentials else folder / file
        if not path.exists():
            path = folder / file
        try:
            keys.append(secret_of(path.read_text(encoding="utf-8").partition("\n")[0].strip(), at))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ConfigError(f"{at}: {path}: {reason}") from None
    for index, variable in enumerate(webhook.secret_envs):
        at = f"webhooks.{name}.secret_envs[{index}]"
        if variable not in os.environ:
            raise ConfigError(f"{at}: {variable} is not set")
        keys.append(secret_of(os.environ[variable].strip(), at))
    return tuple(keys)
