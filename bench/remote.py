"""Objects behind a URI such as `s3://bucket/results`: read, written whole, and claimed, with the options they need.

Knows nothing of what they hold. Imports obstore where it is first used; says in one line why a place is out of reach.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from bench.errors import StoreError, UsageError, near

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_S3 = ("s3", "s3a")
_KINDS = {**dict.fromkeys(_S3, "S3"), "gs": "GCS", **dict.fromkeys(("az", "azure", "abfs", "abfss", "adl"), "Azure")}
_OTHERS = ("file", "memory", "hdfs", "lakefs")  # that the Delta library knows and that need nothing here
# What a client of any kind of storage may be told; all other options are of one kind.
_OF_CLIENTS = (
    *("allow_http", "allow_invalid_certificates", "connect_timeout", "http1_only", "http2_only", "pool_idle_timeout"),
    *("pool_max_idle_per_host", "proxy_url", "timeout", "user_agent"),
)
_OF_DELTA = ("conditional_put", "copy_if_not_exists", "max_retries", "retry_timeout")
_OF_S3 = (
    *("access_key_id", "secret_access_key", "session_token", "token", "region", "default_region", "endpoint"),
    *("endpoint_url", "virtual_hosted_style_request", "unsigned_payload", "skip_signature", "checksum_algorithm"),
    *("imdsv1_fallback", "metadata_endpoint", "container_credentials_relative_uri", "request_payer", "s3_express"),
    *("disable_tagging", "server_side_encryption", "sse_kms_key_id", "sse_bucket_key_enabled"),
    *("sse_customer_key_base64", "role_arn", "role_session_name", "web_identity_token_file", "endpoint_url_sts"),
)
_SECRET = re.compile(r"key|secret|token|password|signature|credential", re.IGNORECASE)
# The first look at a place gives up soon; what is written later is tried for longer.
_RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=15)}


class Located(str):
    """A store's URI as a command line names it, with the options that reach it."""

    options: Mapping[str, str]

    def __new__(cls, uri: str, options: Mapping[str, str] | None = None) -> "Located":
        """The URI; it is a plain text wherever options do not matter."""
        made = super().__new__(cls, uri)
        made.options = dict(options or {})
        return made

    @property
    def shown(self) -> tuple[str, ...]:
        """The options as a printed command may show them: no key and no token."""
        return tuple(f"{name}={value}" for name, value in self.options.items() if not _SECRET.search(name))


def options_of(uri: str, words: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` words as options for a URI.

    Raises:
        UsageError: a word is none, or storage of this kind has no such option; names the nearest.
    """
    scheme, address, _ = uri.partition("://")
    if address and scheme.lower() not in (*_KINDS, *_OTHERS):
        raise UsageError(f"--store {uri}: no storage '{scheme}'.{near(scheme, [*_KINDS, *_OTHERS])}")
    found = {}
    for word in words:
        name, given, value = word.partition("=")
        if not given or not name.strip():
            raise UsageError(f"--storage-option '{word}' is not KEY=VALUE, such as endpoint=http://127.0.0.1:9000")
        known = _known(uri)
        if known and _plain(name) not in known:
            raise UsageError(f"--storage-option: no option '{name}'.{near(_plain(name), known)}")
        found[name.strip().lower()] = value
    if found and not is_remote(uri):
        raise UsageError(f"--storage-option is for stores on object storage, and {uri} is a folder")
    return found


def is_remote(uri: object) -> bool:
    """Whether the URI is of object storage."""
    return str(uri).partition("://")[0].lower() in _KINDS if "://" in str(uri) else False


def completed(uri: str, options: Mapping[str, str]) -> dict[str, str]:
    """The options with what the environment says and what follows from them, as the Delta library takes them."""
    if uri.partition("://")[0].lower() not in _S3:
        return dict(options)
    told = {f"aws_{_plain(name)}": value for name, value in os.environ.items() if name.startswith("AWS_")}
    known = {name: value for name, value in told.items() if _plain(name) in (*_OF_S3, "allow_http")}
    known |= {_prefixed(name): value for name, value in options.items()}
    endpoint = known.pop("aws_endpoint_url", known.get("aws_endpoint"))
    if endpoint:
        known["aws_endpoint"] = endpoint
    if endpoint and endpoint.startswith("http://"):
        known.setdefault("allow_http", "true")
    known.setdefault("aws_region", known.get("aws_default_region", "us-east-1"))
    known.setdefault("conditional_put", "etag")  # so that of two writers of one version one is told that it lost
    return known


def as_variables(options: Mapping[str, str]) -> dict[str, str]:
    """Options as the variables that say the same; those of no variable are left out."""
    named = {_prefixed(name): value for name, value in options.items()}
    if "aws_endpoint" in named:
        named["aws_endpoint_url"] = named.pop("aws_endpoint")
    return {name.upper(): value for name, value in named.items() if name.startswith("aws_")}


def _known(uri: str) -> list[str]:
    return [*_OF_S3, *_OF_CLIENTS, *_OF_DELTA] if uri.partition("://")[0].lower() in _S3 else []


def _plain(name: str) -> str:
    return name.strip().lower().removeprefix("aws_")


def _prefixed(name: str) -> str:
    plain = _plain(name)
    return plain if plain in (*_OF_CLIENTS, *_OF_DELTA) else f"aws_{plain}"


@dataclass(frozen=True)
class RemotePath:
    """A place below a URI, used like a path. Its objects are there whole or not at all."""

    uri: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)  # they hold keys
    below: tuple[str, ...] = ()

    def __truediv__(self, name: str) -> "RemotePath":
        return RemotePath(self.uri, self.options, (*self.below, name))

    def __str__(self) -> str:
        return "/".join((self.uri, *self.below))

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the place, the last one's own at the end."""
        return (*self.uri.rstrip("/").split("/"), *self.below)

    def read(self) -> bytes | None:
        """What is there; None where nothing is. Raises StoreError."""
        with _told(f"{self} cannot be read"):
            with suppress(FileNotFoundError):
                return bytes(self._store.get(self._key).bytes())
            return None

    def write(self, content: bytes) -> None:
        """Put it in the place of what is there. Raises StoreError."""
        with _told(f"{self} cannot be written"):
            self._store.put(self._key, content)

    def claim(self, content: bytes, instead_of: str | None = None) -> bool:
        """Write it where nothing is, or in the place of that version alone; False where somebody was first."""
        from obstore import exceptions

        mode: Any = "create" if instead_of is None else {"e_tag": instead_of}
        with _told(f"{self} cannot be written"):
            try:
                self._store.put(self._key, content, mode=mode)
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError, FileNotFoundError):
                return False
            return True

    def exists(self) -> bool:
        """Whether something is there. Raises StoreError."""
        return self.version() is not None

    def version(self) -> tuple[str, datetime] | None:
        """Which version is there, and since when by the server's clock; None where nothing is."""
        with _told(f"{self} cannot be read"):
            with suppress(FileNotFoundError):
                found = self._store.head(self._key)
                return str(found["e_tag"]), found["last_modified"]
            return None

    def remove(self) -> None:
        """Delete everything below this place. Raises StoreError."""
        with _told(f"{self} cannot be deleted"):
            for some in self._store.list(f"{self._key}/"):
                self._store.delete([each["path"] for each in some])

    def reach(self) -> None:
        """Look at the place once. Raises StoreError: in one line, why it is out of reach."""
        with _told(f"{self} is out of reach"):
            next(iter(self._store.list(self._key or None, chunk_size=1)), None)

    @property
    def _key(self) -> str:
        return "/".join(self.below)

    @property
    def _store(self) -> "ObjectStore":
        with _told(f"{self.uri} is out of reach"):
            return _opened(self.uri, tuple(sorted(self.options.items())))


@cache
def _opened(uri: str, options: tuple[tuple[str, str], ...]) -> "ObjectStore":
    """One client for all places below a URI: it keeps its connections."""
    from obstore.store import from_url

    clients, config = _divided(uri, dict(options))
    retries: Any = {**_RETRIES}
    return from_url(uri, config=config, client_options=clients, retry_config=retries)


def _divided(uri: str, options: Mapping[str, str]) -> tuple[Any, Any]:
    """The options of the client, and those of the kind of storage."""
    whole = completed(uri, options)
    clients: dict[str, Any] = {"connect_timeout": "5s"}
    clients |= {name: value for name, value in whole.items() if name in _OF_CLIENTS}
    clients = {name: value == "true" if value in ("true", "false") else value for name, value in clients.items()}
    return clients, {name: value for name, value in whole.items() if name not in (*_OF_CLIENTS, *_OF_DELTA)}


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn obstore's errors, which are of many lines, into one that says what to do."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        raise StoreError(f"{what}: {reason(str(error))}") from error


def reason(text: str) -> str:
    """Why object storage refused, in one line."""
    known = (
        ("NoSuchBucket", "there is no such bucket"),
        (
            "169.254.169.254",
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or --storage-option",
        ),
        ("InvalidAccessKeyId", "the access key is not known there"),
        ("SignatureDoesNotMatch", "the secret access key is not the one of the access key"),
        ("AccessDenied", "access is denied to these credentials"),
        ("403 Forbidden", "access is denied to these credentials"),
        ("error sending request", "the server does not answer"),
        ("error trying to connect", "the server does not answer"),
    )
    said = next((words for sign, words in known if sign in text), None)
    place = re.search(r"https?://[^\s/?]+", text)
    where = f" at {place[0]}" if said == "the server does not answer" and place else ""
    return f"{said}{where}" if said else " ".join(text.split("Debug source")[0].split())[:300]
