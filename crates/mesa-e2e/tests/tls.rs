//! `mesa serve` with a certificate of a private authority.

use mesa_e2e::{Client, Output, Place, Server, sh};

/// Two authorities, and a server with a certificate of the first.
fn served() -> (Place, Server) {
    let place = Place::fresh();
    sh(
        place.path(),
        "for ca in good other; do \
           openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
             -subj /CN=$ca -keyout $ca.key -out $ca.pem 2>/dev/null; \
         done; \
         openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=mesa \
           -keyout key.pem -out request.pem 2>/dev/null; \
         printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' > names; \
         openssl x509 -req -in request.pem -CA good.pem -CAkey good.key -CAcreateserial -days 2 \
           -extfile names -out cert.pem 2>/dev/null",
    );
    let (cert, key) = (place.path().join("cert.pem"), place.path().join("key.pem"));
    let server = Server::start_with_tls(&cert, &key);
    (place, server)
}

fn mount(client: &Client, key: &str) -> Output {
    let mut command = client.command(&["mount", "-d", "-y", "--timeout", "5s"]);
    Output::of(command.env("MESA_ORGS", format!("my-org:{key}")))
}

#[test]
fn a_private_authority_is_trusted_when_named() {
    let (place, server) = served();
    let (good, other) = (
        place.path().join("good.pem"),
        place.path().join("other.pem"),
    );
    let (good, other) = (good.display().to_string(), other.display().to_string());
    let admin = server.admin_key();
    let operator = server.client().with_env("MESA_CA_FILE", &good);
    let mut create = operator.command(&["repo", "create", "work"]);
    Output::of(create.env("MESA_API_KEY", &admin)).ok();
    let mut create = operator.command(&["key", "create"]);
    let key = Output::of(create.env("MESA_API_KEY", &admin)).ok();

    let by_variable = server.client().with_env("MESA_CA_FILE", &good);
    mount(&by_variable, &key).ok();
    sh(&by_variable.repo("work"), "echo over TLS > f; sync f");
    let by_bundle = server.client().with_env("SSL_CERT_FILE", &good);
    mount(&by_bundle, &key).ok();
    assert_eq!(sh(&by_bundle.repo("work"), "cat f"), "over TLS");
    let by_file = server.client();
    sh(
        by_file.home(),
        &format!("mkdir -p .config/mesa; echo 'ca-file = \"{good}\"' > .config/mesa/config.toml"),
    );
    mount(&by_file, &key).ok();
    assert_eq!(sh(&by_file.repo("work"), "cat f"), "over TLS");

    for (client, how) in [
        (server.client(), "no authority named"),
        (
            server.client().with_env("MESA_CA_FILE", &other),
            "another one",
        ),
        (
            server.client().with_env("SSL_CERT_FILE", &other),
            "another bundle",
        ),
    ] {
        for refused in [mount(&client, &key), {
            let mut list = client.command(&["repo", "list", "--all"]);
            Output::of(list.env("MESA_API_KEY", &key))
        }] {
            assert_eq!(refused.code, 7, "{how}: {refused:?}");
            let text = refused.stderr.to_lowercase();
            assert!(
                text.contains("certificate") && text.contains("ca-file"),
                "{how}: {refused:?}"
            );
            assert!(!refused.stderr.contains(&key), "{how}");
        }
        assert!(!client.repo("work").exists(), "{how}");
    }
}

#[test]
fn a_named_authority_must_be_usable() {
    let server = Server::start();
    let client = server.client().with_env("MESA_CA_FILE", "/nonexistent.pem");
    let (key, _) = server.create_key("{}");
    let refused = mount(&client, &key);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("/nonexistent.pem"), "{refused:?}");
}
