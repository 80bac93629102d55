"""Access tokens of all forms: byte for byte, and as the server takes them."""

import base64
import json
import pickle
from typing import Any

import pytest

from mesa_sdk import (
    AsyncMesa,
    Author,
    AuthorizationError,
    InvalidOptionsError,
    Mesa,
    MissingDependencyError,
    NotFoundError,
    OrgResolutionError,
    PrivateKey,
)
from mesa_sdk._tokens import Grant, Moment, with_api_key, with_private_key
from support import ORG, Fault, FlakyProxy, Server, unique

AT = Moment(lambda: 1_700_000_000.9, lambda: "00000000-0000-4000-8000-000000000000")
#: The seed of RFC 8032's first test, whose public half is given there.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    def read(part: str) -> dict[str, Any]:
        return json.loads(base64.urlsafe_b64decode(part + "=="))

    header, payload, _ = token.split(".")
    return read(header), read(payload)


def test_form_a_is_the_golden_one():
    grant = Grant(scopes=["read", "write"], repos=["demo"])
    token = with_api_key("mesa_testkey", "key_1", "acme", grant, AT).token
    assert parts(token) == (
        {"alg": "HS256", "typ": "mesa-at+jwt", "kid": "key_1.v1"},
        {
            "iss": "key_1",
            "aud": "mesa-api",
            "scopes": ["read", "write"],
            "repos": ["acme/demo"],
            "iat": 1700000000,
            "exp": 1700003600,
            "jti": "00000000-0000-4000-8000-000000000000",
        },
    )
    assert token.rpartition(".")[2] == "5EjZWL-W5N0UT-mJwv2hcVLrhDUvmCATVS_T1CBwZP0"


def test_forms_b_and_c():
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = PrivateKey("acme", SEED)
    jwk = {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": base64.urlsafe_b64encode(bytes.fromhex(PUBLIC)).decode().rstrip("="),
    }
    authors = [Author("Ada", "ada@example.com"), Author("Agent")]
    times = {
        "iat": 1700000000,
        "exp": 1700000900,
        "jti": "00000000-0000-4000-8000-000000000000",
    }
    own = {"iss": "acme", "aud": "mesa-api"}
    pairs = [["Ada", "ada@example.com"], ["Agent", None]]
    named = [{"name": "Ada", "email": "ada@example.com"}, {"name": "Agent", "email": None}]
    for grant, claims in [
        (Grant(), {"scopes": ["read", "write"], "repos": None}),
        (
            Grant(scopes=["read"], repos=["a", "x/b"]),
            {"scopes": ["read"], "repos": ["acme/a", "x/b"]},
        ),
        (
            Grant(repo_ids=["r"], authors=authors),
            {"scopes": ["read", "write"], "repo_ids": ["r"], "author": pairs},
        ),
        (Grant(admin=True), {"admin": True}),
        (
            Grant(access={"a": "read-repo"}, authors=authors),
            {"access": {"a": "read-repo"}, "authors": named},
        ),
    ]:
        token = with_private_key(key, grant, AT).token
        header = {"alg": "EdDSA", "typ": "mesa-at+jwt", "jwk": jwk}
        assert parts(token) == (header, {**own, **claims, **times})
        text, _, signature = token.rpartition(".")
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(PUBLIC))
        public.verify(base64.urlsafe_b64decode(signature + "=="), text.encode())


@pytest.mark.parametrize(
    "grant",
    [
        Grant(admin=True, access={"a": "read-repo"}),
        Grant(admin=True, scopes=["read"]),
        Grant(access={"a": "read-repo"}, repos=["a"]),
        Grant(access={}),
        Grant(access={"org/a": "read-repo"}),
        Grant(access={"..": "read-repo"}),
        Grant(access={f"r{n}": "read-repo" for n in range(251)}),
        Grant(repos=["a"], repo_ids=["b"]),
        Grant(repos=[]),
        Grant(ttl_seconds=0),
        Grant(ttl_seconds=14_401),
        Grant(authors=[Author("a")] * 101),
    ],
)
def test_what_no_private_key_signs(grant: Grant):
    with pytest.raises(InvalidOptionsError):
        with_private_key(PrivateKey("acme", SEED), grant, AT)


@pytest.mark.parametrize(
    "grant",
    [
        Grant(admin=True),
        Grant(access={"a": "read-repo"}),
        Grant(authors=[Author("a")]),
        Grant(ttl_seconds=86_401),
    ],
)
def test_what_no_api_key_signs(grant: Grant):
    with pytest.raises(InvalidOptionsError):
        with_api_key("k", "key_1", "acme", grant, AT)


def test_private_keys_read_what_they_write():
    key = PrivateKey("my-org", SEED)
    again = PrivateKey.parse(f" {key.text}\n")
    assert (again.org, again.text, again.public_key) == ("my-org", key.text, key.public_key)
    assert pickle.loads(pickle.dumps(key)).text == key.text
    assert key.text not in repr(key)
    assert PrivateKey.generate("o").text != PrivateKey.generate("o").text
    for wrong in [
        "",
        "mesa_private_key_",
        "mesa_x",
        key.text[:-1],
        key.text + "A",
        key.text.replace("my-org", "My-org"),
        key.text.replace("my-org", "-"),
        key.text.replace("my-org", ""),
        "mesa_private_key_o_" + "A" * 64,
        "mesa_private_key_o_ü",
    ]:
        with pytest.raises(InvalidOptionsError) as caught:
            PrivateKey.parse(wrong)
        assert key.text[30:40] not in str(caught.value)
    with pytest.raises(InvalidOptionsError):
        PrivateKey("o", SEED[1:])


def test_without_cryptography(monkeypatch: pytest.MonkeyPatch):
    import sys

    name = "cryptography.hazmat.primitives.asymmetric"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=r"mesa-sdk\[signing\]"):
        PrivateKey.generate("o")


def test_form_a_on_the_server(mesa: Mesa, server: Server):
    mine, other = mesa.repos.create().name, mesa.repos.create().name
    token = mesa.tokens.create(scopes=["read"], repos=[mine], ttl_seconds=60)
    assert (token.scopes, token.repos) == (["read"], [f"{ORG}/{mine}"])
    assert token.token not in repr(token)
    with Mesa(access_token=token.token, api_url=server.url) as reader:
        assert [repo.name for repo in reader.repos.iterate()] == [mine]
        who = reader.whoami()
        assert (who.scopes, who.expires_at) == (["read"], token.expires_at)
        with pytest.raises(NotFoundError):
            reader.repos.get(repo=other)
        with pytest.raises(AuthorizationError):
            reader.repos.update(repo=mine, tags={})
        with pytest.raises(InvalidOptionsError):
            reader.tokens.create()
    everything = mesa.tokens.create()
    with Mesa(access_token=everything.token, api_url=server.url) as writer:
        assert writer.repos.update(repo=other, tags={"a": "b"}).tags == {"a": "b"}
        with pytest.raises(AuthorizationError):
            writer.api_keys.list()
    by_id = mesa.tokens.create(repo_ids=[mesa.repos.get(repo=mine).id])
    with Mesa(access_token=by_id.token, api_url=server.url) as scoped:
        assert [repo.name for repo in scoped.repos.iterate()] == [mine]


def test_forms_b_and_c_on_the_server(signing: Mesa, server: Server):
    mine, other = signing.repos.create().name, signing.repos.create().name
    for token in [
        signing.tokens.create(scopes=["read"], repos=[mine]),
        signing.tokens.create(access={mine: "read-repo"}, authors=[{"name": "Ada"}]),
    ]:
        with Mesa(access_token=token.token, api_url=server.url, org=ORG) as reader:
            assert reader.repos.get(repo=mine).name == mine
            with pytest.raises(NotFoundError):
                reader.repos.get(repo=other)
            with pytest.raises(AuthorizationError):
                reader.repos.update(repo=mine, tags={})
    admin = signing.tokens.create(admin=True)
    with Mesa(access_token=admin.token, api_url=server.url) as all_of_it:
        assert all_of_it.api_keys.list(limit=1).api_keys
    with pytest.raises(InvalidOptionsError):
        signing.tokens.create(org="another")
    assert signing.org.slug == ORG


def test_a_client_with_a_private_key_does_everything(signing: Mesa, server: Server):
    name = unique("signed")
    assert signing.repos.create(name=name).name == name
    assert signing.org.get().num_repos > 0
    assert signing.repos.delete(repo=name).success


def test_a_failed_whoami_is_not_kept(server: Server, proxy: FlakyProxy):
    proxy.faults = [Fault(500), Fault(500)]
    with Mesa(api_key=server.admin_key, api_url=proxy.url) as mesa:
        for call in (mesa.repos.list, mesa.tokens.create):
            with pytest.raises(Exception, match="500"):
                call()
        assert mesa.tokens.create().token
        asked = len(proxy.seen)
        mesa.tokens.create()
        assert mesa.org.slug == ORG
        assert len(proxy.seen) == asked


def test_a_credential_without_a_key(proxy: FlakyProxy):
    org = '"org": {"id": "o", "slug": "o", "name": "o"}, "key_name": null, "scopes": []'
    proxy.faults = [Fault(200, {}, f'{{{org}, "key_id": null}}'.encode())]
    with Mesa(api_key="mesa_x", api_url=proxy.url) as mesa, pytest.raises(OrgResolutionError):
        mesa.tokens.create()


@pytest.mark.anyio
async def test_the_asynchronous_client_signs_too(
    amesa: AsyncMesa, server: Server, private_key: PrivateKey
):
    async with amesa:
        repo = (await amesa.repos.create()).name
        token = await amesa.tokens.create(scopes=["read"], repos=[repo])
    async with AsyncMesa(access_token=token.token, api_url=server.url) as reader:
        assert [one.name async for one in reader.repos.iterate()] == [repo]
    async with AsyncMesa(private_key=private_key.text, api_url=server.url) as signing:
        made = await signing.tokens.create(access={repo: "write-repo"})
        assert signing.org.slug == ORG
    async with AsyncMesa(access_token=made.token, api_url=server.url, org=ORG) as writer:
        assert (await writer.repos.get(repo=repo)).name == repo
