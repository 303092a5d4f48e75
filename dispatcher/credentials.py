"""Where secrets and certificates are, and what they say: in files or environment variables, never in the
configuration.

A relative name is looked for in $CREDENTIALS_DIRECTORY, where systemd puts what LoadCredential= names, then
in the folder of the configuration.
"""

import logging
import os
from pathlib import Path
from typing import Final

from dispatcher.errors import ConfigError

log = logging.getLogger("dispatcher.credentials")

SECRET_MAX: Final = 4096
"""Characters of a file that holds a secret: 64 octets in base64 are the longest of ours."""


def path_of(name: str, folder: Path) -> Path:
    """Return where a file of that name is, or would be."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    inside = Path(credentials, name) if credentials else folder / name
    return inside if inside.exists() else folder / name


def secret_of_env(at: str, name: str) -> str:
    """Return the secret in an environment variable that the key at `at` names; ConfigError: it is not set."""
    try:
        return os.environ[name]
    except KeyError:
        raise ConfigError(f"{at}: {name} is not set") from None


def secret_of_file(at: str, name: str, folder: Path) -> str:
    """Return the secret in the first line of a file that the key at `at` names; ConfigError: it is not there.

    Of a file in the folder that others may read, a warning is logged.
    """
    path = path_of(name, folder)
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(SECRET_MAX).partition("\n")[0]
    except OSError as error:
        raise ConfigError(f"{at}: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{at}: {path} is not UTF-8") from None
    if mode & 0o077 and path.parent != Path(os.environ.get("CREDENTIALS_DIRECTORY", "")):
        log.warning("%s: others may read %s: chmod 600", at, path, extra={"event": "secret_readable"})
    return text
