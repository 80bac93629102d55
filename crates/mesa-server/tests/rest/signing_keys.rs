//! Signing keys and the tokens of forms B and C, over REST and on mounts.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use ed25519_dalek::{Signer, SigningKey};
use mesa_proto::v1::{self, sync_client::SyncClient};
use serde_json::{Value, json};

use crate::{
    harness::TestServer,
    mount::{Mount, authorized},
};

/// A holder of a private key.
struct Holder(SigningKey);

impl Holder {
    fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    fn public(&self) -> String {
        B64.encode(self.0.verifying_key().as_bytes())
    }

    /// Registers the public half; answers its id.
    async fn register(&self, server: &TestServer, more: Value) -> String {
        let mut body = more;
        body["public_key"] = json!(self.public());
        let made = server
            .post(&server.admin, "/acme/signing-keys", body)
            .await
            .ok(201);
        made["id"].as_str().unwrap().to_owned()
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |json: &Value| B64.encode(json.to_string());
        let text = format!("{}.{}", part(header), part(claims));
        let signature = self.0.sign(text.as_bytes());
        format!("{text}.{}", B64.encode(signature.to_bytes()))
    }

    fn token(&self, server: &TestServer, more: Value) -> String {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": self.public()});
        let header = json!({"alg": "EdDSA", "typ": "mesa-at+jwt", "jwk": jwk});
        let now = server.clock.secs();
        let mut claims = json!({
            "iss": "acme", "aud": "mesa-api", "iat": now, "exp": now + 900, "jti": "x",
        });
        let more = more.as_object().unwrap().clone();
        claims.as_object_mut().unwrap().extend(more);
        self.sign(&header, &claims)
    }
}

#[tokio::test]
async fn a_key_is_registered_listed_and_revoked() {
    let server = TestServer::start().await;
    let holder = Holder::new(1);
    let id = holder
        .register(
            &server,
            json!({"name": "ci", "scopes": ["admin"], "tags": {"a": "b"}}),
        )
        .await;
    let list = server
        .get(&server.admin, "/acme/signing-keys")
        .await
        .ok(200);
    let shown = &list["signing_keys"][0];
    assert_eq!(
        (
            &shown["id"],
            &shown["public_key"],
            &shown["name"],
            &shown["tags"]
        ),
        (
            &json!(id),
            &json!(holder.public()),
            &json!("ci"),
            &json!({"a": "b"})
        )
    );
    for null in ["repo_ids", "last_used_at", "expires_at", "revoked_at"] {
        assert_eq!(shown[null], Value::Null, "{null}");
    }
    // The two kinds of key are apart.
    let keys = server.get(&server.admin, "/acme/api-keys").await.ok(200);
    assert!(!keys.to_string().contains(&id));
    server
        .delete(&server.admin, &format!("/acme/api-keys/{id}"))
        .await
        .refused(404, "API_KEY_NOT_FOUND");
    let (api, _) = server.key(json!({})).await;
    server
        .delete(&server.admin, &format!("/acme/signing-keys/{api}"))
        .await
        .refused(404, "SIGNING_KEY_NOT_FOUND");
    // Once is enough.
    let body = json!({"public_key": holder.public()});
    server
        .post(&server.admin, "/acme/signing-keys", body)
        .await
        .refused(409, "API_KEY_EXISTS");
    let token = holder.token(&server, json!({"admin": true}));
    let me = server.get(&token, "/whoami").await.ok(200);
    assert_eq!((&me["key_id"], &me["key_name"]), (&json!(id), &json!("ci")));
    server
        .delete(&server.admin, &format!("/acme/signing-keys/{id}"))
        .await
        .ok(200);
    server
        .get(&token, "/whoami")
        .await
        .refused(401, "CREDENTIAL_REVOKED");
    let list = server
        .get(&server.admin, "/acme/signing-keys?status=active")
        .await;
    assert_eq!(list.ok(200)["signing_keys"], json!([]));
}

#[tokio::test]
async fn what_is_no_public_key_is_refused() {
    let server = TestServer::start().await;
    for bad in [
        "",
        "x",
        &"A".repeat(43),
        &"A".repeat(44),
        "not base64 at all!",
    ] {
        let body = json!({"public_key": bad});
        server
            .post(&server.admin, "/acme/signing-keys", body)
            .await
            .refused(400, "INVALID_PUBLIC_KEY");
    }
    let (_, writer) = server.key(json!({})).await;
    let body = json!({"public_key": Holder::new(1).public()});
    server
        .post(&writer, "/acme/signing-keys", body)
        .await
        .refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn a_token_is_no_stronger_than_its_key() {
    let server = TestServer::start().await;
    let (inside, outside) = (server.repo("inside").await, server.repo("outside").await);
    let holder = Holder::new(2);
    holder
        .register(&server, json!({"repo_ids": [inside]}))
        .await;
    let admin = holder.token(&server, json!({"admin": true}));
    let me = server.get(&admin, "/whoami").await.ok(200);
    assert_eq!(
        (&me["scopes"], &me["repo_ids"]),
        (&json!(["write"]), &json!([inside]))
    );
    server
        .get(&admin, "/acme/api-keys")
        .await
        .refused(403, "FORBIDDEN");
    server
        .get(&admin, "/acme/outside")
        .await
        .refused(404, "REPO_NOT_FOUND");
    server.get(&admin, "/acme/inside").await.ok(200);
    let asked = json!({"access": {"inside": "read-repo", "outside": "write-repo"}});
    let both = holder.token(&server, asked);
    server
        .get(&both, "/acme/outside")
        .await
        .refused(404, "REPO_NOT_FOUND");
    let tags = json!({"tags": {"a": "b"}});
    server
        .patch(&both, "/acme/inside", tags.clone())
        .await
        .refused(403, "FORBIDDEN");
    let form_b = holder.token(
        &server,
        json!({"scopes": ["write"], "repos": ["acme/inside"]}),
    );
    server.patch(&form_b, "/acme/inside", tags).await.ok(200);
    let other = holder.token(&server, json!({"scopes": ["read"], "repo_ids": [outside]}));
    assert_eq!(
        server.get(&other, "/acme/repos").await.ok(200)["repos"],
        json!([])
    );
}

#[tokio::test]
async fn access_is_by_repo() {
    let server = TestServer::start().await;
    for repo in ["a", "b", "c"] {
        server.repo(repo).await;
    }
    let holder = Holder::new(3);
    holder.register(&server, json!({"scopes": ["admin"]})).await;
    let asked = json!({"access": {"a": "write-repo", "b": "read-repo", "none": "write-repo"}});
    let token = holder.token(&server, asked);
    let tags = json!({"tags": {"x": "y"}});
    server.patch(&token, "/acme/a", tags.clone()).await.ok(200);
    server.get(&token, "/acme/b").await.ok(200);
    server
        .patch(&token, "/acme/b", tags.clone())
        .await
        .refused(403, "FORBIDDEN");
    server
        .get(&token, "/acme/c")
        .await
        .refused(404, "REPO_NOT_FOUND");
    server
        .post(&token, "/acme/repos", json!({}))
        .await
        .refused(403, "FORBIDDEN");
    let ids = |repo: &str| {
        let (server, repo) = (&server, format!("/acme/{repo}"));
        async move { server.get(&server.admin, &repo).await.ok(200)["id"].clone() }
    };
    let body = json!({"repo_ids": [ids("b").await], "action": "set", "key": "k", "value": "v"});
    server
        .patch(&token, "/acme/repos/tags", body)
        .await
        .refused(403, "FORBIDDEN");
    // On mounts too.
    let mut client = SyncClient::connect(server.url("")).await.unwrap();
    let list = v1::ListReposRequest {
        org: "acme".to_owned(),
        ..Default::default()
    };
    let repos = client
        .list_repos(authorized(&token, list))
        .await
        .unwrap()
        .into_inner()
        .repos;
    let shown: Vec<_> = repos
        .iter()
        .map(|r| (r.name.as_str(), r.writable))
        .collect();
    assert_eq!(shown, [("a", true), ("b", false)]);
    let open = |repo: &str| v1::OpenHeadRequest {
        org: "acme".to_owned(),
        repo: repo.to_owned(),
        ..Default::default()
    };
    let opened = client
        .open_head(authorized(&token, open("b")))
        .await
        .unwrap();
    assert!(
        opened.into_inner().ids.is_none(),
        "a reader gets no ids to create with"
    );
    let refused = client
        .open_head(authorized(&token, open("c")))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
    let mut mount = Mount::open(&server, &token, "a").await;
    let root = mount.root();
    mount
        .create(root, b"f", crate::mount::What::File(b"x", 0o644))
        .await;
}

#[tokio::test]
async fn a_mount_ends_with_its_key() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let holder = Holder::new(4);
    let id = holder.register(&server, json!({})).await;
    let token = holder.token(&server, json!({"access": {"demo": "write-repo"}}));
    let mut mount = Mount::open(&server, &token, "demo").await;
    server
        .delete(&server.admin, &format!("/acme/signing-keys/{id}"))
        .await
        .ok(200);
    let end = mount.end().await.unwrap_err();
    assert_eq!(end.code(), tonic::Code::Unauthenticated);
}

#[tokio::test]
async fn hostile_tokens() {
    let server = TestServer::start().await;
    let (holder, stranger) = (Holder::new(5), Holder::new(6));
    holder.register(&server, json!({"scopes": ["admin"]})).await;
    let made = server
        .post(&server.admin, "/admin/orgs", json!({"slug": "other"}))
        .await
        .ok(201);
    let other_admin = made["admin_key"]["key"].as_str().unwrap();
    let body = json!({"public_key": stranger.public(), "scopes": ["admin"]});
    server
        .post(other_admin, "/other/signing-keys", body)
        .await
        .ok(201);

    let now = server.clock.secs();
    let jwk = |holder: &Holder| json!({"kty": "OKP", "crv": "Ed25519", "x": holder.public()});
    let header = json!({"alg": "EdDSA", "typ": "mesa-at+jwt", "jwk": jwk(&holder)});
    let claims = json!({"iss": "acme", "aud": "mesa-api", "admin": true, "iat": now,
        "exp": now + 900, "jti": "x"});
    let with = |base: &Value, field: &str, value: Value| {
        let mut changed = base.clone();
        changed[field] = value;
        changed
    };
    let good = holder.sign(&header, &claims);
    server.get(&good, "/whoami").await.ok(200);
    let malformed = [
        holder.sign(&with(&header, "alg", json!("none")), &claims),
        holder.sign(&with(&header, "alg", json!("HS256")), &claims),
        holder.sign(&with(&header, "typ", json!("JWT")), &claims),
        holder.sign(&with(&header, "kid", json!("key_1.v1")), &claims),
        holder.sign(&header, &with(&claims, "aud", json!("else"))),
        holder.sign(&header, &with(&claims, "aud", json!(["mesa-api"]))),
        holder.sign(&header, &with(&claims, "exp", json!(now + 14_401))),
        holder.sign(&header, &with(&claims, "iat", json!(now + 61))),
        holder.sign(&header, &with(&claims, "admin", json!(false))),
        holder.sign(
            &header,
            &with(&claims, "access", json!({"demo": "read-repo"})),
        ),
        holder.sign(&header, &with(&claims, "scopes", json!(["read"]))),
        holder.sign(&header, &with(&claims, "jti", json!(""))),
    ];
    for token in &malformed {
        server
            .get(token, "/whoami")
            .await
            .refused(401, "CREDENTIAL_MALFORMED");
    }
    let unknown = [
        // Signed by another key than the one in the header.
        stranger.sign(&header, &claims),
        // A key nobody registered, one of another org, and ours for an org that is not ours.
        Holder::new(7).sign(&with(&header, "jwk", jwk(&Holder::new(7))), &claims),
        stranger.sign(&with(&header, "jwk", jwk(&stranger)), &claims),
        holder.sign(&header, &with(&claims, "iss", json!("other"))),
        holder.sign(&header, &with(&claims, "iss", json!("nobody"))),
        format!("{}.", good.rsplit_once('.').unwrap().0),
    ];
    for token in &unknown {
        server
            .get(token, "/whoami")
            .await
            .refused(401, "CREDENTIAL_UNKNOWN");
    }
    server.clock.forward_secs(900);
    server
        .get(&good, "/whoami")
        .await
        .refused(401, "CREDENTIAL_EXPIRED");
    let private = format!("mesa_private_key_acme_{}", "A".repeat(64));
    server
        .get(&private, "/whoami")
        .await
        .refused(401, "CREDENTIAL_MALFORMED");
}
