"""Settings, from a TOML file, the environment (LIGHTBOX_…) and the command line; later ones win."""

import difflib
import os
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings.exceptions import SettingsError

from archive.errors import BadRequestError

GIB = 1 << 30


PREFIX = "LIGHTBOX_"


class Settings(BaseSettings):
    """All settings of a server. Each field's description is its row in the README's table."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    data: Path = Field(Path("data"), description="Folder of the database and the files.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8042, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(1, ge=1, le=64, description="Server processes on the port.")
    tls_certificate: Path | None = Field(None, description="Certificate with its chain (PEM): https without a proxy.")
    tls_key: Path | None = Field(None, description="Its key (PEM); empty: in the file of the certificate.")
    public_base: str = Field("", description="The URL that people and viewers use, e.g. https://images.example.org.")
    site_name: str = Field("Lightbox", description="The name of the institution on pages and in messages.")
    instance_limit_bytes: int = Field(8 * GIB, ge=1 << 20, description="Largest single DICOM file taken.")
    request_limit_bytes: int = Field(64 * GIB, ge=1 << 20, description="Largest body of one store request.")
    reserve_bytes: int = Field(256 << 20, ge=0, description="Room on the disks that stored files leave free.")
    parts_limit: int = Field(10_000, ge=1, description="Most parts in one store request.")
    codec_workers: int = Field(0, ge=0, le=256, description="Decoding processes in all; 0 means one for each core.")
    frame_timeout_s: float = Field(20.0, gt=0, description="Longest time to decode one frame.")
    codec_queue_limit: int = Field(256, ge=1, description="Frames that may wait for a decoder before 503.")
    derived_limit_bytes: int = Field(4 * GIB, ge=0, description="Size of the cache of decoded and rendered frames.")
    copy_frames: bool = Field(False, description="Copy each new frame to lossless HTJ2K after storing: for slow lines.")
    copies_limit_bytes: int = Field(16 * GIB, ge=0, description="Size of the folder of such copies, `data`/copies.")
    job_workers: int = Field(1, ge=0, le=16, description="Workers for jobs in each server process; 0: none.")
    database_url: SecretStr = Field(
        SecretStr(""), description="PostgreSQL: postgresql://user:password@host/name. Empty: SQLite in `data`."
    )
    store_url: str = Field("", description="Bucket of the files: s3://bucket/prefix. Empty: the folder `data`/store.")
    store_endpoint: str = Field("", description="Address of the S3 server; empty is Amazon's.")
    store_region: str = Field("us-east-1", description="Region of the bucket.")
    store_access_key: str = Field("", description="Access key; empty takes the machine's own credentials.")
    store_secret_key: SecretStr = Field(SecretStr(""), description="Its secret.")
    store_cache_bytes: int = Field(16 * GIB, ge=0, description="Size of the cache of a bucket's files on this machine.")
    accel_prefix: str = Field("", description="Internal location of nginx with the stored files; empty: none in front.")
    no_match_is_204: bool = Field(False, description="Answer an empty search by 204 (PS3.18 before CP-2473).")
    strict_accept: bool = Field(False, description="Answer requests without Accept by 406 (PS3.18 §8.7.5).")
    body_idle_s: float = Field(60.0, gt=0, description="Longest silence within a request's body.")
    body_bytes_per_s: int = Field(1024, ge=1, description="Slowest body, on average, beyond that time.")
    send_idle_s: float = Field(
        120.0, gt=0, description="Longest time for which a client may take nothing of an answer."
    )
    database_wait_s: float = Field(30.0, gt=0, description="Longest wait for another process's lock on the database.")
    idle_timeout_s: float = Field(75.0, gt=0, description="Longest wait for the whole head of a client's next request.")
    patient_import_bytes: int = Field(20 * GIB, ge=0, description="Most that one owner link may import, in bytes.")
    patient_import_files: int = Field(20_000, ge=0, description="The same, in files.")
    scrub_days: float = Field(30.0, ge=0, description="Days in which the server reads and checks every file; 0: never.")
    undo_days: float = Field(30.0, ge=0, description="Days for which what was deleted can be restored.")
    coerce: dict[str, str] = Field({}, description='Attributes set in all that is stored: {"InstitutionName": …}.')
    coerce_missing: dict[str, str] = Field({}, description="The same, where an instance has no value of its own.")

    help_phone: str = Field("", description="Telephone number for questions, on pages, in messages and on handouts.")
    country_code: str = Field("", description="Country of telephone numbers written with a leading 0, such as +49.")
    quiet_s: float = Field(300.0, ge=0, description="A study is complete when no image has come for this long.")
    trusted_proxies: tuple[str, ...] = Field((), description="Addresses whose X-Forwarded-For is believed.")
    metrics_open_to: tuple[str, ...] = Field((), description="Addresses that may read /metrics without a token.")
    key_file: Path | None = Field(None, description="Key that contacts are encrypted with. [data/secrets.key]")
    smtp_host: str = Field("", description="Mail server; empty: no mail is sent.")
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of the mail server.")
    smtp_security: Literal["starttls", "tls", "none"] = Field("starttls", description="How mail is encrypted.")
    smtp_ca_file: Path | None = Field(None, description="Certificates of a private authority the mail server is under.")
    smtp_username: str = Field("", description="Name to sign in to the mail server with; empty: no sign-in.")
    smtp_password: SecretStr = Field(SecretStr(""), description="Password for the mail server.")
    mail_from: str = Field("", description="Sender of mails.")
    sms_url: str = Field("", description="Text message gateway; {to} and {text} are filled in. Empty: none is sent.")
    sms_method: Literal["POST", "GET", "PUT"] = Field("POST", description="HTTP method of the gateway.")
    sms_headers: dict[str, SecretStr] = Field({}, description="Headers for the gateway, such as its key.")
    sms_body: str = Field('{"to": "{to}", "text": "{text}"}', description="Body for the gateway.")
    sms_content_type: str = Field("application/json", description="Media type of that body.")
    sms_success: str = Field("", description="A text that the gateway's good answers hold.")
    sms_reference: str = Field("", description="Path of the message's id in the gateway's JSON answer: data.0.id.")
    sms_countries: tuple[str, ...] = Field((), description="Beginnings of numbers that may be written to; empty: all.")
    sms_per_number_per_day: int = Field(10, ge=1, description="Most text messages to one number in 24 hours.")

    oidc_issuer: str = Field("", description="Identity provider that staff sign in at (OpenID Connect); empty: none.")
    oidc_client_id: str = Field("", description="Our client id there; it sends browsers back to /staff/sso/callback.")
    oidc_client_secret: SecretStr = Field(SecretStr(""), description="Our secret there; empty: a public client.")
    oidc_scope: str = Field("openid profile", description="Scopes asked for.")
    oidc_role_claim: str = Field("groups", description="Claim of the ID token that roles come from, or its path: a.b.")
    oidc_roles: dict[str, str] = Field({}, description='Its values and the roles they give: {"RAD-DESK": "desk"}.')

    @field_validator("oidc_roles")
    @classmethod
    def _are_roles(cls, value: dict[str, str]) -> dict[str, str]:
        if any(not roles.split() or set(roles.split()) - {"desk", "admin", "auditor"} for roles in value.values()):
            raise ValueError("oidc_roles gives desk, admin, auditor, divided by spaces")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_a_database(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not value.get_secret_value().startswith("postgresql://"):
            raise ValueError("database_url begins with postgresql://")
        return value

    @field_validator("store_url")
    @classmethod
    def _is_a_bucket(cls, value: str) -> str:
        if value and not value.startswith("s3://"):
            raise ValueError("store_url begins with s3://")
        return value

    @field_validator("public_base")
    @classmethod
    def _is_an_origin(cls, value: str) -> str:
        value = value.rstrip("/")
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("public_base begins with http:// or https://")
        return value

    @field_validator("accel_prefix")
    @classmethod
    def _is_a_path(cls, value: str, info: ValidationInfo) -> str:
        value = value.rstrip("/")
        if value and not value.startswith("/"):
            raise ValueError("accel_prefix is a path that begins with a slash")
        if value and info.data.get("store_url"):
            raise ValueError("accel_prefix is for files in a folder; nginx cannot read them from a bucket")
        return value

    @property
    def database_path(self) -> Path:
        """SQLite's file; not there where `database_url` names another database."""
        return self.data / "lightbox.sqlite"

    @property
    def database_place(self) -> Path | str:
        """Where the index and all else that changes is: SQLite's file or PostgreSQL's URL."""
        return self.database_url.get_secret_value() or self.database_path

    @property
    def has_archive(self) -> bool:
        """Whether there is an archive already; a database elsewhere is taken to hold one."""
        return bool(self.database_url.get_secret_value()) or self.database_path.is_file()

    @property
    def metrics_folder(self) -> Path:
        """Where several server processes leave their counts."""
        return self.data / "metrics"

    @property
    def key_path(self) -> Path:
        return self.key_file or self.data / "secrets.key"

    @property
    def store_folder(self) -> Path:
        return self.data / "store"

    @property
    def locks_folder(self) -> Path:
        return self.data / "locks"

    @property
    def scrub_state(self) -> Path:
        return self.data / "scrub.json"

    @property
    def derived_folder(self) -> Path:
        return self.data / "derived"

    @property
    def copies_folder(self) -> Path:
        return self.data / "copies"

    @property
    def imports_folder(self) -> Path:
        return self.data / "imports"

    @property
    def viewer_folder(self) -> Path:
        return self.data / "viewer"

    @property
    def base_url(self) -> str:
        """`public_base`, or what a browser on this machine would use."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104 - compared, not bound
        scheme = "http" if self.tls_certificate is None else "https"
        return self.public_base or f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(toml_file: Path | None = None, **given: object) -> Settings:
    """Settings from all sources; `given` are the command line's and leave out what is None.

    Raises
    ------
    pydantic.ValidationError
        Names the keys at fault; `describe_fault` says it in plain words.
    BadRequestError
        The file is no TOML, or the environment has a LIGHTBOX_… that is no setting.
    """
    for name in sorted(os.environ):
        key = name.removeprefix(PREFIX).lower()
        if name.startswith(PREFIX) and key not in Settings.model_fields:
            raise BadRequestError(f"{name} in the environment: {no_such_setting(key)}", parameter=name)

    class WithFile(Settings):
        model_config = SettingsConfigDict(toml_file=toml_file)

    try:
        return WithFile(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]  # checked by pydantic
    except tomllib.TOMLDecodeError as error:
        raise BadRequestError(f"The settings file is not TOML: {error}.", parameter="config") from error
    except SettingsError as error:
        raise BadRequestError(f"The environment: {error}; lists and tables are written as JSON.") from error


def describe_fault(fault: ErrorDetails) -> str:
    """What is wrong with a setting, for whoever wrote it; the value itself may be a secret and is not repeated."""
    key = ".".join(map(str, fault["loc"])) or "settings"
    if fault["type"] == "extra_forbidden":
        return f"setting {key}: {no_such_setting(key)}"
    return f"setting {key}: {fault['msg'].removeprefix('Value error, ')}"


def no_such_setting(key: str) -> str:
    """That a key is unknown, and the one that was probably meant."""
    near = difflib.get_close_matches(key, Settings.model_fields, n=1)
    return f"there is no such setting{f'; did you mean {near[0]}?' if near else '; see the table in the README.'}"
