"""User names, passwords, certificates: where they are read from, and what nobody sees of them."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

MAX_SECRET_BYTES = 65_536

_USER_INFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s'\"<>]*@", re.IGNORECASE)
"""``scheme://anything@``, up to the last ``@``: careless passwords hold ``@`` and ``/`` too."""

_SECRET_PARAMETER = re.compile(
    r"((?:pass|passwd|password|pwd|token)=)[^\s/&;'\"<>]+", re.IGNORECASE
)
"""Some cameras want ``/user=admin_password=xyz_channel=1``; all up to the next mark goes."""


def scrub(text: str) -> str:
    """The text with user and password taken out of every address in it."""
    return _SECRET_PARAMETER.sub(r"\1***", _USER_INFO.sub(r"\1***@", text))


def public_address(url: str) -> str:
    """The address without user, password, query and fragment, fit for logs and pages."""
    parts = urlsplit(url)
    if not parts.scheme:
        return url
    host = parts.netloc.rpartition("@")[2]
    return scrub(urlunsplit((parts.scheme, host, parts.path, "", "")))


def with_credentials(url: str, username: str | None, password: str | None) -> str:
    """The address with user and password in it. The result is a secret: never log it.

    A password alone keeps the address's own user, and is enough where no user is asked for
    (Redis with ``requirepass``).
    """
    if username is None and password is None:
        return url
    parts = urlsplit(url)
    present, _, host = parts.netloc.rpartition("@")
    user = present.partition(":")[0] if username is None else quote(username, safe="")
    secret = f":{quote(password, safe='')}" if password else ""
    return urlunsplit(parts._replace(netloc=f"{user}{secret}@{host}"))


def read_secret(path: Path) -> str:
    """The secret that a file holds, without the white space around it.

    Raises:
        ValueError: the file is missing, unreadable, not text, or empty.
    """
    try:
        if not path.is_file():
            missing = "it is no regular file" if path.exists() else "there is no such file"
            why = "it is a directory" if path.is_dir() else missing
            raise ValueError(f"the secret file {path} cannot be read: {why}; correct the path")
        with path.open("rb") as file:
            secret = file.read(MAX_SECRET_BYTES).decode().strip()
    except OSError as error:
        raise ValueError(
            f"the secret file {path} cannot be read: {error.strerror}; give this user the right to"
        ) from error
    except UnicodeDecodeError:
        raise ValueError(f"the secret file {path} is not UTF-8 text; write it anew") from None
    if not secret:
        raise ValueError(f"the secret file {path} is empty; write the secret into it")
    return secret


def check_authorities(path: Path) -> None:
    """Does a file hold certificates that a server's may be checked against?

    Raises:
        ValueError: it is missing, unreadable, or holds none.
    """
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        why = "it holds no certificate"
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
            why = error.strerror or why
        raise ValueError(f"{path} cannot be used ({why}); name a PEM file") from None
