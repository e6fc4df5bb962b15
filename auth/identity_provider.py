"""The institution's identity provider (OpenID Connect Core 1.0): what it publishes, and ID tokens that it has signed.

Nothing from the provider is believed that does not carry its signature by an algorithm listed here, its issuer, our
client id, this sign-in's nonce and a time that is now.
"""

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard
from urllib.parse import quote_plus, urlsplit

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from archive.errors import ForbiddenError, LightboxError

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key that only the provider has: neither "none" nor HMAC by something that both sides know."""
CLOCK_SKEW_S = 60
MAXIMUM_TOKEN_LIFE_S = 86_400
KEPT_S = 3_600.0
"""How long what the provider publishes is taken for true."""
REFRESH_EVERY_S = 30.0
"""How often at most an unknown key has the provider asked for its keys again."""
TIMEOUT_S = 10.0
MAXIMUM_ANSWER_BYTES = 1 << 20
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class SingleSignOnError(ForbiddenError):
    """The sign-in at the provider did not end in an account here. The text says why, and names no token."""

    code = "wrong-sso"


class ProviderError(LightboxError):
    """The provider cannot be reached, or answers what it may not."""

    status = 503
    code = "provider-unavailable"


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """Who the provider is and who we are to it. `roles`: value of the claim → roles here, divided by spaces."""

    issuer: str
    client_id: str
    client_secret: str = ""
    scope: str = "openid profile"
    role_claim: str = "groups"
    roles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What the provider's discovery document says (OpenID Connect Discovery 1.0 §3)."""

    authorization: str
    token: str
    jwks: str
    end_session: str
    takes_basic: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """What a code is changed for a token with (RFC 6749 §4.1.3, RFC 7636 §4.5)."""

    code: str
    redirect_uri: str
    verifier: str


class IdentityProvider:
    """One provider, asked over HTTP; what it publishes is kept for a while."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings
        self._endpoints: tuple[Endpoints, float] | None = None
        self._keys: tuple[KeySet, float] | None = None

    async def endpoints(self) -> Endpoints:
        """The provider's addresses. Raises ProviderError."""
        now_s = asyncio.get_running_loop().time()
        if self._endpoints is None or now_s - self._endpoints[1] > KEPT_S:
            issuer = self.settings.issuer
            told = await _ask("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            if told.get("issuer") != issuer:
                raise ProviderError("The identity provider names another issuer than the settings do.")
            self._endpoints = _endpoints_of(told), now_s
        return self._endpoints[0]

    async def change_code(self, grant: Grant) -> str:
        """The ID token for a code. Raises SingleSignOnError, ProviderError."""
        endpoints, settings = await self.endpoints(), self.settings
        form = {
            "grant_type": "authorization_code",
            "code": grant.code,
            "redirect_uri": grant.redirect_uri,
            "code_verifier": grant.verifier,
        }
        authorization = ""
        if settings.client_secret and endpoints.takes_basic:
            # both are form-encoded first (RFC 6749 §2.3.1)
            authorization = aiohttp.encode_basic_auth(
                quote_plus(settings.client_id), quote_plus(settings.client_secret)
            )
        else:
            form["client_id"] = settings.client_id
            if settings.client_secret:
                form["client_secret"] = settings.client_secret
        token = (await _ask("POST", endpoints.token, form, authorization)).get("id_token")
        if not isinstance(token, str):
            raise SingleSignOnError("The provider did not take the code.")
        return token

    async def verify(self, id_token: str, nonce: str, now_s: float) -> dict[str, Any]:
        """The claims of an ID token (OpenID Connect Core §3.1.3.7). Raises SingleSignOnError, ProviderError."""
        claims = await self._signed_claims(id_token)
        settings = self.settings
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        expires_s, issued_s, begins_s = (claims.get(name) for name in ("exp", "iat", "nbf"))
        right = (
            claims.get("iss") == settings.issuer,
            settings.client_id in audiences,
            claims.get("azp", settings.client_id) == settings.client_id and (len(audiences) == 1 or "azp" in claims),
            _is_number(expires_s) and now_s - CLOCK_SKEW_S < expires_s < now_s + MAXIMUM_TOKEN_LIFE_S,
            _is_number(issued_s) and issued_s < now_s + CLOCK_SKEW_S,
            begins_s is None or (_is_number(begins_s) and begins_s < now_s + CLOCK_SKEW_S),
            secrets.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()),
            isinstance(claims.get("sub"), str) and 0 < len(claims["sub"]) <= 255,
        )
        if not all(right):
            raise SingleSignOnError("The provider's token is not for this sign-in.")
        return claims

    def roles_of(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """The roles that the settings give to the values of the claim; a value that they do not name gives none."""
        value: Any = claims.get(self.settings.role_claim)
        if value is None:  # a path, as realm_access.roles
            value = claims
            for name in self.settings.role_claim.split("."):
                value = value.get(name) if isinstance(value, Mapping) else None
        values = value if isinstance(value, list) else [value]
        named = [self.settings.roles[one] for one in values if isinstance(one, str) and one in self.settings.roles]
        return frozenset(role for roles in named for role in roles.split())

    async def _signed_claims(self, id_token: str) -> dict[str, Any]:
        for again in (False, True):
            keys = await self._key_set(again=again)
            try:
                return dict(jwt.decode(id_token, keys, algorithms=list(ALGORITHMS)).claims)
            except (JoseError, ValueError, TypeError, KeyError):
                continue  # the provider may have changed its keys since
        raise SingleSignOnError("The provider's token does not carry its signature.")

    async def _key_set(self, *, again: bool) -> KeySet:
        now_s = asyncio.get_running_loop().time()
        age_s = now_s - self._keys[1] if self._keys is not None else None
        if self._keys is None or age_s is None or age_s > (REFRESH_EVERY_S if again else KEPT_S):
            told = await _ask("GET", (await self.endpoints()).jwks)
            try:
                self._keys = KeySet.import_key_set({"keys": told["keys"]}), now_s
            except (JoseError, ValueError, TypeError, KeyError) as error:
                raise ProviderError("The identity provider's keys cannot be read.") from error
        return self._keys[0]


def _endpoints_of(told: Mapping[str, Any]) -> Endpoints:
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not _is_safe(told.get(name)):
            raise ProviderError(f"The identity provider's {name} is not an https address.")
    end_session = told.get("end_session_endpoint")
    methods = told.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Endpoints(
        told["authorization_endpoint"],
        told["token_endpoint"],
        told["jwks_uri"],
        str(end_session) if _is_safe(end_session) else "",
        takes_basic="client_secret_basic" in methods,
    )


def _is_safe(url: object) -> bool:
    """https, or this very machine."""
    if not isinstance(url, str):
        return False
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


async def _ask(method: str, url: str, form: Mapping[str, str] | None = None, authorization: str = "") -> dict[str, Any]:
    """A JSON object from the provider; {} where it refuses. No redirect is followed: a secret may be on the way."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    headers = {"Accept": "application/json"} | ({"Authorization": authorization} if authorization else {})
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.request(method, url, data=form, allow_redirects=False) as answer,
        ):
            body = await answer.content.read(MAXIMUM_ANSWER_BYTES)
            while len(body) < MAXIMUM_ANSWER_BYTES and (more := await answer.content.read(MAXIMUM_ANSWER_BYTES)):
                body += more
            if method == "POST" and 400 <= answer.status < 500:
                return {}
            told = json.loads(body) if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise ProviderError("The identity provider does not answer.") from error
    if not isinstance(told, dict):
        raise ProviderError("The identity provider answers what it may not.")
    return told
