"""Sign-in of staff at the institution's identity provider: authorization code, PKCE, state and nonce (RFC 9700).

A sign-in is begun in one browser and ends there once: the row that remembers it is bound to a cookie, used up by the
first answer, and over after ten minutes. The provider says who it is and which groups they are in, the settings say
what a group may do here; an account of that kind is never joined to one that was made here, whatever it is called.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from urllib.parse import urlencode

import sqlalchemy as sa

from archive.audit import Action, Event, Outcome, append
from archive.database.journey_tables import sign_ins, staff
from archive.errors import BadRequestError, NotFoundError
from auth.access import Access
from auth.identity_provider import Grant, IdentityProvider, SingleSignOnError
from auth.sessions import NewSession, SessionKind, Visitor, end_sessions, find_session, open_session, start_session
from auth.staff import MAXIMUM_NAME_LENGTH, parse_staff_roles
from auth.tokens import hash_secret

CALLBACK = "/staff/sso/callback"
LIFE_MS = 10 * 60_000
VERIFIER = "sign-in verifier"
MAXIMUM_PARAMETER_LENGTH = 2_048


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes, and the cookie by which it is known when it comes back."""

    url: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider sent the browser back with. `issuer` is RFC 9207's, "" where the provider sends none."""

    state: str
    code: str
    issuer: str = ""


def redirect_uri(access: Access) -> str:
    """The one address that the provider sends browsers back to, to be registered there."""
    return access.public_base + CALLBACK


async def begin_sign_in(access: Access, visitor: Visitor) -> Begun:
    """Remember a sign-in and say where it goes on. Raises NotFoundError where no provider is set up."""
    provider = _provider(access)
    await access.sign_ins.count(visitor.network, access.clock())
    endpoints = await provider.endpoints()
    state, nonce, cookie, verifier = (secrets.token_urlsafe(32) for _ in range(4))
    row = {
        "state_sha256": hash_secret(state),
        "browser_sha256": hash_secret(cookie),
        "nonce": nonce,
        "verifier_encrypted": access.vault.encrypt(verifier, VERIFIER),
    }

    def insert(connection: sa.Connection, now_ms: int) -> None:
        connection.execute(sa.delete(sign_ins).where(sign_ins.c.created_ms <= now_ms - LIFE_MS))
        connection.execute(sa.insert(sign_ins).values(created_ms=now_ms, **row))

    await access.database.write(insert, access.clock())
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": provider.settings.client_id,
        "redirect_uri": redirect_uri(access),
        "scope": provider.settings.scope,
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    joint = "&" if "?" in endpoints.authorization else "?"
    return Begun(f"{endpoints.authorization}{joint}{urlencode(asked)}", cookie)


async def finish_sign_in(access: Access, cookie: str | None, answer: Answer, visitor: Visitor) -> str:
    """The session's cookie for who the provider says it is. Raises SingleSignOnError, ProviderError."""
    provider = _provider(access)
    if max(map(len, (answer.state, answer.code, answer.issuer))) > MAXIMUM_PARAMETER_LENGTH:
        raise BadRequestError("The provider's answer is too long.")
    begun = await access.database.write(_use, answer.state, cookie or "", access.clock())
    if begun is None or answer.issuer not in ("", provider.settings.issuer) or not answer.code:
        raise SingleSignOnError("This sign-in was not begun here, or is over. Begin again.")
    verifier = access.vault.decrypt(begun.verifier_encrypted, VERIFIER)
    token = await provider.change_code(Grant(answer.code, redirect_uri(access), verifier))
    claims = await provider.verify(token, begun.nonce, access.clock() / 1000)
    name = claims.get("name") or claims.get("preferred_username") or claims.get("email") or claims["sub"]
    who = (f"{claims['iss']} {claims['sub']}", str(name), provider.roles_of(claims))
    token = await access.database.write(_sign_in, who, visitor, access.clock())
    access.forget()
    if not token:
        raise SingleSignOnError("Your account has no role here. Ask whoever administers it.")
    return token


async def sign_out_url(access: Access, cookie: str | None) -> str:
    """Where a browser goes on after signing out: to the provider when it came from there, to end there too."""
    provider = access.provider
    if provider is None or not await access.database.keyed(_is_from_provider, cookie or "", access.clock()):
        return "/staff"
    end_session = (await provider.endpoints()).end_session
    if not end_session:
        return "/staff"
    asked = {"client_id": provider.settings.client_id, "post_logout_redirect_uri": f"{access.public_base}/staff"}
    return f"{end_session}{'&' if '?' in end_session else '?'}{urlencode(asked)}"


def _provider(access: Access) -> IdentityProvider:
    if access.provider is None:
        raise NotFoundError("Signing in elsewhere is not set up here.")
    return access.provider


def _use(connection: sa.Connection, state: str, cookie: str, now_ms: int) -> sa.Row[str, bytes] | None:
    """The sign-in of this state and browser, used up with this statement: the same answer again finds nothing."""
    return connection.execute(
        sa.delete(sign_ins)
        .where(
            sign_ins.c.state_sha256 == hash_secret(state),
            sign_ins.c.browser_sha256 == hash_secret(cookie),
            sign_ins.c.created_ms > now_ms - LIFE_MS,
        )
        .returning(sign_ins.c.nonce, sign_ins.c.verifier_encrypted)
    ).one_or_none()


def _sign_in(connection: sa.Connection, who: tuple[str, str, frozenset[str]], visitor: Visitor, now_ms: int) -> str:
    """Sign in whoever has a role, as told right now; "" for who has none, or whose account was closed here."""
    subject, name, roles = who
    staff_id = f"sso-{hashlib.sha256(subject.encode()).hexdigest()[:16]}"
    row = connection.execute(sa.select(staff).where(staff.c.oidc_subject == subject)).one_or_none()
    if not roles or (row is not None and row.ended_ms is not None):
        if row is not None:
            connection.execute(sa.update(staff).where(staff.c.id == row.id).values(roles=""))
            end_sessions(connection, SessionKind.STAFF, row.id, now_ms)
        _tell(connection, (Action.STAFF_SIGN_IN, Outcome.REFUSED), staff_id, visitor, now_ms)
        return ""
    printable = "".join(character for character in name if character.isprintable())[:MAXIMUM_NAME_LENGTH] or staff_id
    values = {"name": printable, "roles": " ".join(sorted(parse_staff_roles(sorted(roles)))), "signed_in_ms": now_ms}
    if row is None:
        connection.execute(sa.insert(staff).values(id=staff_id, oidc_subject=subject, created_ms=now_ms, **values))
        _tell(connection, (Action.STAFF_CHANGE, Outcome.SUCCESS), staff_id, visitor, now_ms)
    else:
        connection.execute(sa.update(staff).where(staff.c.id == row.id).values(**values))
    token = start_session(connection, NewSession(SessionKind.STAFF, staff_id, visitor, False), now_ms)
    session = find_session(connection, SessionKind.STAFF, staff_id, token, now_ms)
    if session is None:
        raise SingleSignOnError("Sign in again.")
    _tell(connection, (Action.STAFF_SIGN_IN, Outcome.SUCCESS), staff_id, visitor, now_ms)
    return open_session(connection, session, now_ms)


def _is_from_provider(connection: sa.Connection, cookie: str, now_ms: int) -> bool:
    session = find_session(connection, SessionKind.STAFF, "", cookie, now_ms)
    if session is None:
        return False
    found = sa.select(staff.c.oidc_subject).where(staff.c.id == session.subject)
    return connection.execute(found).scalar_one_or_none() is not None


def _tell(
    connection: sa.Connection, done: tuple[Action, Outcome], staff_id: str, visitor: Visitor, now_ms: int
) -> None:
    detail = {"device": visitor.device, "by": "identity provider"}
    event = Event(done[0], "staff", f"staff {staff_id}", done[1], address=visitor.address, detail=detail)
    append(connection, [event], now_ms)
