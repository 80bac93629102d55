//! Credentials: keys and access tokens, what they open and what they do not.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use hmac::{Hmac, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::TestServer;

/// Every route with the least scope it needs, on the repo `demo`.
fn routes(repo_id: &str) -> Vec<(Method, String, Option<Value>, &'static str)> {
    let tags = json!({"repo_ids": [repo_id], "action": "set", "key": "k", "value": "v"});
    let route = |method, path: &str, body, scope| (method, path.to_owned(), body, scope);
    vec![
        route(Method::GET, "/acme", None, "read"),
        route(Method::GET, "/acme/repos", None, "read"),
        route(Method::GET, "/acme/demo", None, "read"),
        route(Method::GET, "/acme/demo/bookmarks", None, "read"),
        route(Method::GET, "/acme/demo/bookmarks/main", None, "read"),
        route(
            Method::PATCH,
            "/acme/demo",
            Some(json!({"tags": {"a": "b"}})),
            "write",
        ),
        route(Method::PATCH, "/acme/repos/tags", Some(tags), "write"),
        route(Method::POST, "/acme/repos", Some(json!({})), "write"),
        route(Method::GET, "/acme/api-keys", None, "admin"),
        route(Method::POST, "/acme/api-keys", Some(json!({})), "admin"),
        route(Method::DELETE, "/acme/api-keys/key_NONE", None, "admin"),
        route(
            Method::PATCH,
            "/acme/api-keys/key_NONE",
            Some(json!({"tags": {}})),
            "admin",
        ),
        route(Method::GET, "/acme/signing-keys", None, "admin"),
        route(
            Method::POST,
            "/acme/signing-keys",
            Some(json!({"public_key": "6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw"})),
            "admin",
        ),
        route(Method::DELETE, "/acme/signing-keys/key_NONE", None, "admin"),
        route(Method::GET, "/acme/webhook-targets", None, "admin"),
        route(
            Method::POST,
            "/acme/webhook-targets",
            Some(json!({"url": "https://hooks.example/"})),
            "admin",
        ),
        route(Method::GET, "/acme/webhook-targets/wt_NONE", None, "admin"),
        route(
            Method::PATCH,
            "/acme/webhook-targets/wt_NONE",
            Some(json!({})),
            "admin",
        ),
        route(
            Method::DELETE,
            "/acme/webhook-targets/wt_NONE",
            None,
            "admin",
        ),
        route(
            Method::GET,
            "/acme/webhook-targets/wt_NONE/deliveries",
            None,
            "admin",
        ),
        route(
            Method::POST,
            "/acme/webhook-targets/wt_NONE/deliveries/dlv_NONE/redeliver",
            None,
            "admin",
        ),
        route(Method::GET, "/acme/audit", None, "admin"),
        route(Method::GET, "/acme/demo/upstream/syncs", None, "read"),
        route(
            Method::GET,
            "/acme/demo/upstream/syncs/sync_NONE",
            None,
            "read",
        ),
        route(
            Method::POST,
            "/acme/demo/upstream/syncs",
            Some(json!({"direction": "pull"})),
            "write",
        ),
        route(Method::DELETE, "/acme/demo", None, "write"),
    ]
}

#[tokio::test]
async fn every_route_refuses_bad_credentials() {
    let server = TestServer::start().await;
    let repo = server.repo("demo").await;
    let (id, revoked) = server.key(json!({"scopes": ["admin"]})).await;
    server
        .delete(&server.admin, &format!("/acme/api-keys/{id}"))
        .await
        .ok(200);
    let (_, expired) = server
        .key(json!({"scopes": ["admin"], "expires_in_seconds": 100}))
        .await;
    server.clock.forward_secs(100);
    let unknown = format!("mesa_{}", "A".repeat(44));
    for (method, path, body, _) in routes(&repo) {
        for (key, code) in [
            ("", "CREDENTIAL_MISSING"),
            ("hello", "CREDENTIAL_MALFORMED"),
            (&*unknown, "CREDENTIAL_UNKNOWN"),
            (&*expired, "CREDENTIAL_EXPIRED"),
            (&*revoked, "CREDENTIAL_REVOKED"),
        ] {
            let answer = server.call(key, method.clone(), &path, body.clone()).await;
            answer.refused(401, code);
        }
    }
    server.get(&server.admin, "/acme/demo").await.ok(200);
}

#[tokio::test]
async fn every_route_asks_for_its_scope() {
    let server = TestServer::start().await;
    let repo = server.repo("demo").await;
    let (_, read) = server.key(json!({"scopes": ["read"]})).await;
    let (_, write) = server.key(json!({"scopes": ["write"]})).await;
    for (method, path, body, scope) in routes(&repo) {
        for (key, held) in [(&read, "read"), (&write, "write"), (&server.admin, "admin")] {
            let order = ["read", "write", "admin"];
            let rank = |s| order.iter().position(|o| *o == s);
            let answer = server.call(key, method.clone(), &path, body.clone()).await;
            if rank(held) < rank(scope) {
                answer.refused(403, "FORBIDDEN");
            } else if answer.status == 404 {
                // Deleted by the key before, or an id that does not exist.
                assert!(
                    method == Method::DELETE || path.contains("NONE"),
                    "{method} {path}"
                );
            } else if method == Method::POST && path.ends_with("/upstream/syncs") {
                answer.refused(409, "NO_UPSTREAM");
            } else {
                assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn repos_outside_the_key_do_not_exist() {
    let server = TestServer::start().await;
    let mine = server.repo("mine").await;
    let demo = server.repo("demo").await;
    let (_, key) = server
        .key(json!({"repo_ids": [mine], "scopes": ["write"]}))
        .await;
    for (method, path) in [
        (Method::GET, "/acme/demo"),
        (Method::DELETE, "/acme/demo"),
        (Method::GET, "/acme/demo/bookmarks"),
        (Method::GET, "/acme/demo/bookmarks/main"),
    ] {
        server
            .call(&key, method, path, None)
            .await
            .refused(404, "REPO_NOT_FOUND");
    }
    let tags = json!({"tags": {"a": "b"}});
    server
        .patch(&key, "/acme/demo", tags)
        .await
        .refused(404, "REPO_NOT_FOUND");
    let bulk = json!({"repo_ids": [mine, demo], "action": "set", "key": "k", "value": "v"});
    server
        .patch(&key, "/acme/repos/tags", bulk)
        .await
        .refused(404, "REPO_NOT_FOUND");
    let list = server.get(&key, "/acme/repos").await.ok(200);
    assert_eq!(list["repos"].as_array().unwrap().len(), 1);
    server
        .post(&key, "/acme/repos", json!({"name": "n"}))
        .await
        .refused(403, "FORBIDDEN");
    assert_eq!(
        server.get(&key, "/acme/mine").await.ok(200)["tags"],
        json!({})
    );
}

/// A form A token signed with a key, as the published clients sign them.
fn token(key: &str, header: &Value, claims: &Value) -> String {
    let hmac_key = B64.encode(Sha256::digest(key));
    let part = |value: &Value| B64.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(hmac_key.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", B64.encode(mac.finalize().into_bytes()))
}

fn header(key_id: &str) -> Value {
    json!({"alg": "HS256", "typ": "mesa-at+jwt", "kid": format!("{key_id}.v1")})
}

fn claims(server: &TestServer, key_id: &str, scopes: Value, repos: Value) -> Value {
    let now = server.clock.secs();
    json!({
        "iss": key_id, "aud": "mesa-api", "scopes": scopes, "repos": repos,
        "iat": now, "exp": now + 3600, "jti": "00000000-0000-4000-8000-000000000000",
    })
}

#[tokio::test]
async fn tokens_open_what_they_name_and_no_more_than_their_key() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    server.repo("other").await;
    let (id, key) = server.key(json!({"scopes": ["write"]})).await;
    let mint = |scopes: Value, repos: Value| {
        token(&key, &header(&id), &claims(&server, &id, scopes, repos))
    };
    let one = mint(json!(["read"]), json!(["acme/demo"]));
    let me = server.get(&one, "/whoami").await.ok(200);
    assert_eq!(
        (&me["key_id"], &me["scopes"]),
        (&json!(id), &json!(["read"]))
    );
    server.get(&one, "/acme/demo").await.ok(200);
    server
        .get(&one, "/acme/other")
        .await
        .refused(404, "REPO_NOT_FOUND");
    server
        .delete(&one, "/acme/demo")
        .await
        .refused(403, "FORBIDDEN");
    let whole = mint(json!(["read", "write", "admin"]), Value::Null);
    server.get(&whole, "/acme/other").await.ok(200);
    server
        .get(&whole, "/acme/api-keys")
        .await
        .refused(403, "FORBIDDEN");
    let foreign = mint(json!(["read"]), json!(["else/demo"]));
    server
        .get(&foreign, "/acme/demo")
        .await
        .refused(404, "REPO_NOT_FOUND");

    server.clock.forward_secs(3700);
    server
        .get(&one, "/acme/demo")
        .await
        .refused(401, "CREDENTIAL_EXPIRED");
    let fresh = mint(json!(["read"]), Value::Null);
    server.get(&fresh, "/acme/demo").await.ok(200);
    server
        .delete(&server.admin, &format!("/acme/api-keys/{id}"))
        .await
        .ok(200);
    server
        .get(&fresh, "/acme/demo")
        .await
        .refused(401, "CREDENTIAL_REVOKED");
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let server = TestServer::start().await;
    let (id, key) = server.key(json!({})).await;
    let (other_id, _) = server.key(json!({})).await;
    let good = claims(&server, &id, json!(["read"]), Value::Null);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        token(&key, &header(&id), &claims)
    };
    let head = |name: &str, value: &str| {
        let mut header = header(&id);
        header[name] = json!(value);
        token(&key, &header, &good)
    };
    let valid = token(&key, &header(&id), &good);
    server.get(&valid, "/whoami").await.ok(200);
    let mut parts: Vec<&str> = valid.split('.').collect();
    parts[2] = "";
    let now = server.clock.secs();
    let forged = [
        parts.join("."),
        token("mesa_another", &header(&id), &good),
        head("alg", "none"),
        head("alg", "HS512"),
        head("typ", "JWT"),
        head("kid", &format!("{other_id}.v1")),
        head("kid", "../../key"),
        with("iss", json!(other_id)),
        with("aud", json!("else")),
        with("exp", json!(now + 86_500)),
        with("exp", Value::Null),
        with("scopes", json!(["everything"])),
        "a.b.c".to_owned(),
        "..".to_owned(),
    ];
    for bad in forged {
        let answer = server.get(&bad, "/whoami").await;
        assert_eq!(answer.status, 401, "{bad}");
        let code = answer.json()["error"]["code"].clone();
        answer.refused(401, code.as_str().unwrap());
    }
}

#[tokio::test]
async fn odd_authorization_headers() {
    let server = TestServer::start().await;
    let ask = |value: String| {
        let request = server.http.get(server.url("/v1/whoami"));
        server.send(request.header("authorization", value))
    };
    ask(format!("bearer {}", server.admin)).await.ok(200);
    ask(format!("Basic {}", server.admin))
        .await
        .refused(401, "CREDENTIAL_MISSING");
    ask(server.admin.clone())
        .await
        .refused(401, "CREDENTIAL_MISSING");
    ask("Bearer ".to_owned())
        .await
        .refused(401, "CREDENTIAL_MISSING");
    ask(format!("Bearer {}", "A".repeat(20_000)))
        .await
        .refused(401, "CREDENTIAL_MALFORMED");
    let none = server.send(server.http.get(server.url("/v1/whoami"))).await;
    none.refused(401, "CREDENTIAL_MISSING");
}
