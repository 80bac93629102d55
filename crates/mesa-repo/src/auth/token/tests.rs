//! Vectors and hostile tokens.

use super::*;

const HEADER: &str = r#"{"alg":"HS256","typ":"mesa-at+jwt","kid":"key_1.v1"}"#;
const CLAIMS: &str = r#"{"iss":"key_1","aud":"mesa-api","scopes":["read","write"],"repos":["acme/demo"],"iat":1700000000,"exp":1700003600,"jti":"00000000-0000-4000-8000-000000000000"}"#;
const SIGNATURE: &str = "5EjZWL-W5N0UT-mJwv2hcVLrhDUvmCATVS_T1CBwZP0";

fn join(header: &str, claims: &str, signature: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{signature}", encode(header), encode(claims))
}

#[test]
fn published_vector() {
    let text = join(HEADER, CLAIMS, SIGNATURE);
    let token = Token::parse(&text).unwrap();
    assert!(matches!(token.signer(), Signer::Secret(id) if id.as_str() == "key_1"));
    let claims = token.verified(&Verifier::of("mesa_testkey")).unwrap();
    let grant = claims.grant(Nanos::from_parts(1_700_000_000, 0)).unwrap();
    assert_eq!(grant.scopes, Scopes::standard());
    let repos = grant.repos.unwrap();
    assert_eq!((repos.len(), repos[0].name.as_str()), (1, "acme/demo"));
    assert!(!repos[0].read_only);
    assert_eq!(grant.expires, Nanos::from_parts(1_700_003_600, 0));
}

#[test]
fn other_keys_and_changed_bytes_do_not_verify() {
    let text = join(HEADER, CLAIMS, SIGNATURE);
    let verify = |text: &str, key: &str| {
        Token::parse(text)
            .and_then(|t| t.verified(&Verifier::of(key)).map(drop))
            .map_err(|e| e.kind)
    };
    assert_eq!(verify(&text, "mesa_testkey"), Ok(()));
    assert_eq!(verify(&text, "mesa_other"), Err(AuthErrorKind::Unknown));
    let forged = join(HEADER, &CLAIMS.replace("read", "admin"), SIGNATURE);
    assert_eq!(verify(&forged, "mesa_testkey"), Err(AuthErrorKind::Unknown));
    let cut = join(HEADER, CLAIMS, &SIGNATURE[..40]);
    assert_eq!(verify(&cut, "mesa_testkey"), Err(AuthErrorKind::Unknown));
    let none = join(HEADER, CLAIMS, "");
    assert_eq!(verify(&none, "mesa_testkey"), Err(AuthErrorKind::Unknown));
}

#[test]
fn headers_are_strict() {
    for header in [
        r#"{"alg":"none","typ":"mesa-at+jwt","kid":"key_1.v1"}"#,
        r#"{"alg":"HS512","typ":"mesa-at+jwt","kid":"key_1.v1"}"#,
        r#"{"alg":"HS256","typ":"JWT","kid":"key_1.v1"}"#,
        r#"{"alg":"HS256","typ":"mesa-at+jwt","kid":"key_1.v2"}"#,
        r#"{"alg":"HS256","typ":"mesa-at+jwt","kid":"org_1.v1"}"#,
        r#"{"alg":"HS256","typ":"mesa-at+jwt"}"#,
        r#"{"alg":"HS256","typ":"mesa-at+jwt","kid":"key_1.v1","crit":["x"]}"#,
        r#"{"alg":"HS256","alg":"HS256","typ":"mesa-at+jwt","kid":"key_1.v1"}"#,
        "[]",
        "",
    ] {
        let text = join(header, CLAIMS, SIGNATURE);
        let kind = Token::parse(&text).err().map(|e| e.kind);
        assert_eq!(kind, Some(AuthErrorKind::Malformed), "{header}");
    }
    for text in ["a.b", "..", "a.b.c", "é.é.é", "e30=.e30=.AA=="] {
        assert!(Token::parse(text).is_err(), "{text}");
    }
}

#[test]
fn claims_are_strict() {
    let base: serde_json::Value = serde_json::from_str(CLAIMS).unwrap();
    let kind = |name: &str, value: serde_json::Value| {
        let mut claims = base.clone();
        claims[name] = value;
        granted(serde_json::from_value(claims).map(Claims::Secret))
    };
    let malformed = Err(AuthErrorKind::Malformed);
    assert_eq!(kind("aud", "other".into()), malformed);
    assert_eq!(kind("aud", serde_json::json!(["mesa-api"])), malformed);
    assert_eq!(kind("scopes", serde_json::json!([])), malformed);
    assert_eq!(kind("scopes", serde_json::json!(["root"])), malformed);
    assert_eq!(kind("jti", "".into()), malformed);
    assert_eq!(kind("iat", 1_700_000_061.into()), malformed);
    assert_eq!(kind("iat", 1_700_000_060.into()), Ok(()));
    assert_eq!(kind("exp", 1_700_086_401.into()), malformed);
    assert_eq!(kind("exp", 1_700_086_400.into()), Ok(()));
    assert_eq!(kind("exp", i64::MAX.into()), malformed);
    assert_eq!(kind("exp", serde_json::json!(1.5)), malformed);
    assert_eq!(kind("repos", serde_json::Value::Null), Ok(()));
    assert_eq!(
        kind("repos", serde_json::json!(vec!["a/b"; 251])),
        malformed
    );
    assert_eq!(kind("repo_ids", serde_json::json!(["x"])), malformed);
    let mut old = base.clone();
    old["iat"] = 1_699_990_000.into();
    old["exp"] = 1_700_000_000.into();
    let expired = granted(serde_json::from_value(old).map(Claims::Secret));
    assert_eq!(expired, Err(AuthErrorKind::Expired));
}

/// Whether claims are granted in the first second of their life.
fn granted(claims: serde_json::Result<Claims>) -> Result<(), AuthErrorKind> {
    let claims = claims.map_err(|_| AuthErrorKind::Malformed)?;
    let grant = claims.grant(Nanos::from_parts(1_700_000_000, 0));
    grant.map(drop).map_err(|e| e.kind)
}

// Made by another implementation: the private key is 32 bytes of 7.
const PUBLIC_HEADER: &str = r#"{"alg":"EdDSA","typ":"mesa-at+jwt","jwk":{"kty":"OKP","crv":"Ed25519","x":"6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw"}}"#;
const PUBLIC_CLAIMS: &str = r#"{"iss":"acme","aud":"mesa-api","access":{"demo":"write-repo","docs":"read-repo"},"authors":[{"name":"Ada","email":"ada@example.com"},{"name":"Agent","email":null}],"iat":1700000000,"exp":1700000900,"jti":"00000000-0000-4000-8000-000000000000"}"#;
const PUBLIC_SIGNATURE: &str =
    "wceoPWXEQ_HwwR8lXPQuI5YmGfVUl0h1UWRxvnV9azjZOc19ewbRrTYAv8rRirequNKqg3q7z8IA9rt077G2DA";

fn self_signed(text: &str) -> Result<(String, Claims), AuthErrorKind> {
    let token = Token::parse(text).map_err(|e| e.kind)?;
    match token.signer() {
        Signer::Public(key) => token.self_signed(key).map_err(|e| e.kind),
        Signer::Secret(_) => Err(AuthErrorKind::Malformed),
    }
}

#[test]
fn signing_key_vector() {
    let text = join(PUBLIC_HEADER, PUBLIC_CLAIMS, PUBLIC_SIGNATURE);
    let (org, claims) = self_signed(&text).unwrap();
    assert_eq!(org, "acme");
    let grant = claims.grant(Nanos::from_parts(1_700_000_000, 0)).unwrap();
    assert_eq!(grant.scopes, Scopes::new([crate::records::Scope::Write]));
    let repos = grant.repos.unwrap();
    let named: Vec<_> = repos.iter().map(|r| (&*r.name, r.read_only)).collect();
    assert_eq!(named, [("acme/demo", false), ("acme/docs", true)]);
    let authors: Vec<_> = grant
        .authors
        .iter()
        .map(|a| (a.name.as_str(), a.email.as_deref()))
        .collect();
    assert_eq!(authors, [("Ada", Some("ada@example.com")), ("Agent", None)]);
}

#[test]
fn changed_signing_key_tokens_do_not_verify() {
    let unknown = Some(AuthErrorKind::Unknown);
    let verify = |header: &str, claims: &str, signature: &str| {
        self_signed(&join(header, claims, signature)).err()
    };
    let forged = PUBLIC_CLAIMS.replace("read-repo", "write-repo");
    assert_eq!(verify(PUBLIC_HEADER, &forged, PUBLIC_SIGNATURE), unknown);
    assert_eq!(verify(PUBLIC_HEADER, PUBLIC_CLAIMS, ""), unknown);
    let cut = &PUBLIC_SIGNATURE[..80];
    assert_eq!(verify(PUBLIC_HEADER, PUBLIC_CLAIMS, cut), unknown);
    // A MAC under the public key, which everybody knows.
    let both = format!("{HEADER}{PUBLIC_HEADER}");
    assert_eq!(
        verify(&both, PUBLIC_CLAIMS, PUBLIC_SIGNATURE),
        Some(AuthErrorKind::Malformed)
    );
}

#[test]
fn public_headers_are_strict() {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw"}"#;
    let with = |jwk: &str| format!(r#"{{"alg":"EdDSA","typ":"mesa-at+jwt","jwk":{jwk}}}"#);
    assert!(Token::parse(&join(&with(jwk), PUBLIC_CLAIMS, PUBLIC_SIGNATURE)).is_ok());
    let bad = [
        with(&jwk.replace("OKP", "EC")),
        with(&jwk.replace("Ed25519", "X25519")),
        with(&jwk.replace(r#""x":"6"#, r#""d":"AAAA","x":"6"#)),
        with(&jwk.replace("0iw", "0i")),
        with("null"),
        // Points under which some signatures fit every message.
        with(&jwk.replace(&jwk[32..75], &"A".repeat(43))),
        with(&jwk.replace(&jwk[32..75], &format!("AQ{}", "A".repeat(41)))),
        with(jwk).replace("EdDSA", "none"),
        with(jwk).replace("EdDSA", "HS256"),
        with(jwk).replace("mesa-at+jwt", "JWT"),
        with(jwk).replace(r#""typ""#, r#""kid":"key_1.v1","typ""#),
    ];
    for header in bad {
        let text = join(&header, PUBLIC_CLAIMS, PUBLIC_SIGNATURE);
        let kind = Token::parse(&text).err().map(|e| e.kind);
        assert_eq!(kind, Some(AuthErrorKind::Malformed), "{header}");
    }
}

#[test]
fn public_claims_are_strict() {
    use serde_json::{Value, json};
    let check = |edit: &dyn Fn(&mut Value)| {
        let mut claims = json!({
            "iss": "acme", "aud": "mesa-api", "iat": 1_700_000_000, "exp": 1_700_000_900,
            "jti": "x",
        });
        edit(&mut claims);
        granted(serde_json::from_value(claims).map(Claims::Public))
    };
    let with = |more: Value| {
        check(&|claims| {
            let (claims, more) = (claims.as_object_mut(), more.as_object().cloned());
            claims.unwrap().extend(more.unwrap());
        })
    };
    let malformed = Err(AuthErrorKind::Malformed);
    // Form B.
    assert_eq!(with(json!({"scopes": ["admin"], "repos": null})), Ok(()));
    assert_eq!(
        with(json!({"scopes": ["read"], "repo_ids": ["repo_1"], "author": [["A", null]]})),
        Ok(())
    );
    assert_eq!(with(json!({"scopes": []})), malformed);
    assert_eq!(with(json!({"scopes": ["read"], "admin": true})), malformed);
    assert_eq!(
        with(json!({"scopes": ["read"], "author": [["A<", null]]})),
        malformed
    );
    assert_eq!(
        with(json!({"scopes": ["read"], "author": [[" ", null]]})),
        malformed
    );
    // Form C.
    assert_eq!(with(json!({})), malformed);
    assert_eq!(with(json!({"admin": true})), Ok(()));
    assert_eq!(with(json!({"admin": false})), malformed);
    assert_eq!(with(json!({"admin": true, "access": {}})), malformed);
    assert_eq!(
        with(json!({"admin": true, "repos": null, "repo_ids": ["repo_1"]})),
        malformed
    );
    assert_eq!(with(json!({"access": {"demo": "read-repo"}})), Ok(()));
    for access in [
        json!({"demo": "admin"}),
        json!({"acme/demo": "read-repo"}),
        json!({"..": "read-repo"}),
    ] {
        assert_eq!(with(json!({"access": access})), malformed, "{access}");
    }
    let many: serde_json::Map<_, _> = (0..251)
        .map(|n| (format!("r{n}"), json!("read-repo")))
        .collect();
    assert_eq!(with(json!({"access": many})), malformed);
    let crowd = vec![json!({"name": "A", "email": null}); 101];
    assert_eq!(with(json!({"admin": true, "authors": crowd})), malformed);
    assert_eq!(
        with(json!({"admin": true, "authors": [{"name": "A\n", "email": null}]})),
        malformed
    );
    // Times.
    assert_eq!(with(json!({"admin": true, "exp": 1_700_014_400})), Ok(()));
    assert_eq!(
        with(json!({"admin": true, "exp": 1_700_014_401})),
        malformed
    );
    assert_eq!(
        with(json!({"admin": true, "iat": 1_700_000_061})),
        malformed
    );
    assert_eq!(with(json!({"admin": true, "aud": "other"})), malformed);
    assert_eq!(with(json!({"admin": true, "jti": ""})), malformed);
    let old = json!({"admin": true, "iat": 1_699_999_000, "exp": 1_700_000_000});
    assert_eq!(with(old), Err(AuthErrorKind::Expired));
}
