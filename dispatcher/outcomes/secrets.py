"""The secrets of webhooks, from where the configuration says that they are."""

from collections.abc import Mapping
from pathlib import Path

from dispatcher.credentials import secret_of_env, secret_of_file
from dispatcher.faces import Webhook
from dispatcher.outcomes.signature import secret_of


def secrets_of(webhooks: Mapping[str, Webhook], folder: Path) -> dict[str, tuple[bytes, ...]]:
    """Return the keys of each webhook, newest first. ConfigError: one cannot be read, or is none.

    Reads files: not for the loop.
    """
    return {name: _keys(name, webhook, folder) for name, webhook in webhooks.items()}


def _keys(name: str, webhook: Webhook, folder: Path) -> tuple[bytes, ...]:
    found = []
    for index, file in enumerate(webhook.secret_files):
        at = f"webhooks.{name}.secret_files[{index}]"
        found.append(secret_of(secret_of_file(at, file, folder).strip(), at))
    for index, variable in enumerate(webhook.secret_envs):
        at = f"webhooks.{name}.secret_envs[{index}]"
        found.append(secret_of(secret_of_env(at, variable).strip(), at))
    return tuple(found)
