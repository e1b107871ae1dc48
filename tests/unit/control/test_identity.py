"""Who asks: by our token, an identity provider's, or a trusted proxy's word."""

import time

import pytest
from starlette.datastructures import Headers
from tokens import AUDIENCE, ISSUER, MAIN, SigningKey, write_jwks

from scoring.control.api.identity import (
    Identity,
    LocalAdmin,
    ProviderRoles,
    TrustedProxy,
    networks_of,
)
from scoring.control.domain.people import Person, PersonRole
from scoring.control.domain.tokens import token_digest
from scoring.doors.auth.jwt import TokenRules, Tokens
from scoring.errors import BadArtifact, Denied, Unauthenticated

LOCAL, ANN, NOBODYS = (f"fsc_{letter * 43}" for letter in "LAN")
PROXY = TrustedProxy(
    networks_of(["10.0.0.0/24", "::1"]), "x-forwarded-user", "x-forwarded-groups"
)


class KnownPeople:
    def holder(self, digest):
        known = {token_digest(ANN): ("ann", frozenset({PersonRole.AUTHOR}))}
        return known.get(digest)


@pytest.fixture
def identity(tmp_path):
    write_jwks(tmp_path / "jwks.json", MAIN)
    rules = TokenRules(ISSUER, AUDIENCE, roles_claim="realm_access.roles")
    return Identity(
        people=KnownPeople(),
        local=LocalAdmin(token_digest(LOCAL)),
        tokens=Tokens(tmp_path / "jwks.json", rules, time.time),
        proxy=PROXY,
        provider=ProviderRoles({"fraud-leads": PersonRole.APPROVER}),
    )


def by_token(identity, token, address="127.0.0.1"):
    headers = Headers({"authorization": f"Bearer {token}"})
    return identity.person(headers, address)


def by_proxy(identity, address="10.0.0.7", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return identity.person(Headers(named), address)


def jwt_with(*roles, **claims):
    return MAIN.token(sub="cat", realm_access={"roles": list(roles)}, **claims)


def test_the_local_admin_is_known_by_the_token_in_the_file(identity):
    person = by_token(identity, LOCAL)
    assert (person.name, person.roles) == ("local", {PersonRole.ADMIN})
    assert person.origin == "127.0.0.1"


def test_whoever_was_given_a_token_has_the_roles_that_came_with_it(identity):
    assert by_token(identity, ANN).roles == {PersonRole.AUTHOR}


def test_an_identity_provider_says_the_name_and_the_roles_by_its_own_words(identity):
    person = by_token(identity, jwt_with("author", "fraud-leads", "payroll"))
    assert (person.name, person.roles) == (
        "cat",
        {PersonRole.AUTHOR, PersonRole.APPROVER},
    )


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "fsc_",
        LOCAL[:-1],
        LOCAL + "x",
        LOCAL.upper(),
        NOBODYS,
        "fsc_" + "a" * 10_000,
        "é" * 40,
        pytest.param(SigningKey.made("k-EdDSA").token(), id="of another key"),
        pytest.param(MAIN.token(exp=1), id="expired"),
        pytest.param(MAIN.token(aud="another"), id="for another"),
        pytest.param(MAIN.token(iss="another"), id="of another issuer"),
        pytest.param(MAIN.token(sub=""), id="of nobody"),
    ],
)
def test_a_token_that_is_not_good_is_refused_and_not_repeated(identity, token):
    with pytest.raises(Unauthenticated) as refused:
        by_token(identity, token)
    assert len(token) < 4 or token not in str(refused.value)


@pytest.mark.parametrize(
    "sent", ["Basic YTpi", "Bearer", "bearer  ", LOCAL, f"Token {LOCAL}"]
)
def test_only_a_bearer_token_names_somebody(identity, sent):
    with pytest.raises(Unauthenticated, match="send a token"):
        identity.person(Headers({"authorization": sent}), "127.0.0.1")


@pytest.mark.parametrize("roles", [(), ("payroll",), ("AUTHOR",), (7,)])
def test_somebody_without_a_role_here_is_denied_and_told_which_there_are(
    identity, roles
):
    with pytest.raises(Denied, match="viewer, analyst, author") as denied:
        by_token(identity, jwt_with(*roles))
    assert not isinstance(denied.value, Unauthenticated)


def test_a_proxy_is_believed_from_its_own_address(identity):
    person = by_proxy(
        identity,
        x_forwarded_user="dan",
        x_forwarded_groups="author,fraud-leads",
        x_forwarded_for="203.0.113.9, 198.51.100.7",
    )
    assert (person.name, person.roles) == (
        "dan",
        {PersonRole.AUTHOR, PersonRole.APPROVER},
    )
    assert person.origin == "198.51.100.7"  # what the proxy itself saw


def test_where_somebody_is_from_is_what_the_proxy_added_last(identity):
    headers = Headers(
        raw=[
            (b"x-forwarded-user", b"dan"),
            (b"x-forwarded-groups", b"author"),
            (b"x-forwarded-for", b"192.0.2.1"),  # the caller's own
            (b"x-forwarded-for", b"198.51.100.7"),
        ]
    )
    assert identity.person(headers, "10.0.0.7").origin == "198.51.100.7"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.1.7", "", "not an address", "::2"]
)
def test_its_header_from_another_address_names_nobody(identity, address):
    with pytest.raises(Unauthenticated):
        by_proxy(identity, address, x_forwarded_user="dan", x_forwarded_groups="admin")


@pytest.mark.parametrize("address", ["::1", "::ffff:10.0.0.7", "10.0.0.255"])
def test_an_address_is_one_however_it_is_written(identity, address):
    named = by_proxy(
        identity, address, x_forwarded_user="dan", x_forwarded_groups="viewer"
    )
    assert named.name == "dan"


def test_a_header_that_is_there_twice_is_refused(identity):
    twice = Headers(
        raw=[
            (b"x-forwarded-user", b"mallory"),
            (b"x-forwarded-user", b"dan"),
            (b"x-forwarded-groups", b"admin"),
        ]
    )
    with pytest.raises(Unauthenticated, match="twice"):
        identity.person(twice, "10.0.0.7")


def test_a_token_that_is_refused_is_not_made_up_for_by_the_proxy(identity):
    headers = Headers({"authorization": "Bearer fsc_x", "x-forwarded-user": "dan"})
    with pytest.raises(Unauthenticated, match="nobody holds it"):
        identity.person(headers, "10.0.0.7")


@pytest.mark.parametrize("name", [" dan", "d\tan", "", "x" * 201])
def test_a_name_that_could_be_taken_for_another_is_refused(identity, name):
    with pytest.raises(Unauthenticated):
        by_proxy(identity, x_forwarded_user=name, x_forwarded_groups="admin")


@pytest.mark.parametrize("address", ["10.0.0.7/8", "proxy.example", "", "10.0.0"])
def test_an_address_that_is_none_is_refused_with_what_to_write(address):
    with pytest.raises(
        BadArtifact, match=r"write an address or a network, 10\.0\.0\.7"
    ):
        networks_of([address])


@pytest.mark.parametrize("name", ["Ann", "ANN", "\uff21nn", "a\u207fn"])
def test_a_person_is_the_same_however_the_name_is_written(name):
    assert Person(name, frozenset()).name == "ann"


def test_a_person_has_one_name_by_a_token_and_by_a_proxy(identity):
    sent = "José@example.org".encode().decode("latin-1")
    person = by_proxy(identity, x_forwarded_user=sent, x_forwarded_groups="author")
    assert person.name == "josé@example.org"


def test_a_name_in_another_encoding_is_refused(identity):
    with pytest.raises(Unauthenticated, match="UTF-8"):
        by_proxy(identity, x_forwarded_user="José", x_forwarded_groups="author")
