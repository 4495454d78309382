"""What the sections of the configuration have in common: bounds, faults, secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from worker.credentials import read_secret

NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
PREFIX = r"^[A-Za-z0-9._-]{1,64}$"
HOURS = r"^\d\d:\d\d-\d\d:\d\d$"
DIGEST = r"^[0-9a-f]{64}$"
PATTERN_MEANS = {
    NAME: "lower-case letters, digits, - and _, at most 63, the first a letter or digit",
    PREFIX: "letters, digits, dot, - and _, at most 64",
    HOURS: 'two times of day, for example "07:00-19:30"',
    DIGEST: "64 hexadecimal digits, lower case",
}
"""What each pattern asks for, in words."""

Name = Annotated[str, Field(pattern=NAME)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]
SecondsOrNever = Annotated[float, Field(ge=0, le=31_536_000)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A table of the file: unknown keys are an error, values do not change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def faults(*found: tuple[tuple[str, ...], str]) -> ValidationError:
    """Several faults at once, each at its own key below the section that raises them."""
    return ValidationError.from_exception_data(
        "configuration",
        [
            InitErrorDetails(
                type=PydanticCustomError("fault", "{text}", {"text": text}), loc=key, input=None
            )
            for key, text in found
        ],
    )


def lay_in_secret(values: Any, name: str) -> Any:
    """Lay the content of the file that ``<name>_file`` names into ``values`` as ``<name>``.

    It is read while the configuration is checked, so that a missing file is found before
    anything starts.
    """
    key = f"{name}_file"
    if not isinstance(values, dict) or not isinstance(values.get(key), str | Path):
        return values
    if values.get(name):
        raise faults(((key,), f"{name} and {key} are both set; keep one of them"))
    try:
        return {**values, name: read_secret(Path(values[key]))}
    except ValueError as error:
        raise faults(((key,), str(error))) from None


class Credentials(Section):
    """User and password of something; the password may lie in a file of its own."""

    username: str | None = Field(None, repr=False, description="User to log in as.")
    password: SecretStr | None = Field(
        None, description="Better in a file of its own, or in the environment."
    )
    password_file: Path | None = Field(
        None, description="File that holds the password, for example under /run/secrets."
    )

    @property
    def secret(self) -> str | None:
        """The password in the clear. Never log it."""
        return self.password.get_secret_value() if self.password else None

    @model_validator(mode="before")
    @classmethod
    def _read_password_file(cls, values: Any) -> Any:
        return lay_in_secret(values, "password")
