//! Webhook targets, and what is sent to them.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use hmac::{Hmac, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use crate::{
    harness::TestServer,
    mount::{Mount, What},
    writes::put,
};

/// A request as a target sees it.
#[derive(Debug)]
struct Received {
    headers: HashMap<String, String>,
    body: String,
}

impl Received {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Checks the signature as the published clients do.
    fn verified(&self, secret: &str) -> bool {
        let header = &self.headers["x-mesa-signature"];
        let (time, signature) = header
            .strip_prefix("t=")
            .unwrap()
            .split_once(",sha256=")
            .unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{time}.{}", self.body).as_bytes());
        hex::encode(mac.finalize().into_bytes()) == signature
    }
}

/// A target on this machine.
struct Receiver {
    url: String,
    status: Arc<AtomicU16>,
    requests: mpsc::UnboundedReceiver<Received>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?k=v", listener.local_addr().unwrap());
        let status = Arc::new(AtomicU16::new(204));
        let (sender, requests) = mpsc::unbounded_channel();
        let answer = Arc::clone(&status);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut text = Vec::new();
                let body = loop {
                    let mut piece = [0; 4096];
                    let n = stream.read(&mut piece).await.unwrap();
                    text.extend_from_slice(&piece[..n]);
                    let shown = String::from_utf8_lossy(&text).into_owned();
                    let Some((head, body)) = shown.split_once("\r\n\r\n") else {
                        continue;
                    };
                    let lines = head
                        .lines()
                        .skip(1)
                        .filter_map(|line| line.split_once(": "));
                    let headers: HashMap<_, _> = lines
                        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                        .collect();
                    if body.len() >= headers["content-length"].parse().unwrap() {
                        break Received {
                            headers,
                            body: body.to_owned(),
                        };
                    }
                };
                let status = answer.load(Ordering::SeqCst);
                let head = format!(
                    "HTTP/1.1 {status} X\r\nlocation: http://127.0.0.1:1/\r\n\
                     content-length: 0\r\nconnection: close\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                sender.send(body).unwrap();
            }
        });
        Self {
            url,
            status,
            requests,
        }
    }

    async fn next(&mut self) -> Received {
        tokio::time::timeout(Duration::from_secs(30), self.requests.recv())
            .await
            .expect("a delivery within 30 s")
            .unwrap()
    }
}

async fn server() -> TestServer {
    TestServer::start_with(|options| {
        options.webhooks_allow_private = true;
        options.public_url = Some("https://mesa.example".to_owned());
    })
    .await
}

/// A new target's id and secret.
async fn target(server: &TestServer, receiver: &Receiver, events: &[&str]) -> (String, String) {
    let body = json!({"url": receiver.url, "events": events});
    let made = server
        .post(&server.admin, "/acme/webhook-targets", body)
        .await
        .ok(201);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

async fn deliveries(server: &TestServer, id: &str) -> Vec<Value> {
    let path = format!("/acme/webhook-targets/{id}/deliveries");
    let list = server.get(&server.admin, &path).await.ok(200);
    list["deliveries"].as_array().unwrap().clone()
}

/// The deliveries once `done` says that they are as wanted.
async fn until(
    server: &TestServer,
    id: &str,
    what: &str,
    done: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let found = deliveries(server, id).await;
        if done(&found) {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "{what}: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn targets_are_made_changed_and_deleted() {
    let server = TestServer::start().await;
    let repo = server.repo("demo").await;
    let path = "/acme/webhook-targets";
    let body = json!({"url": "https://hooks.example/x", "name": "n", "repo_ids": [repo]});
    let made = server.post(&server.admin, path, body).await.ok(201);
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(
        (&made["events"], &made["repo_ids"]),
        (&json!(["push"]), &json!([repo]))
    );
    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("secret");
    assert_eq!(server.get(&server.admin, &one).await.ok(200), shown);
    let list = server.get(&server.admin, path).await.ok(200);
    assert_eq!(list["webhook_targets"], json!([shown]));
    server.clock.forward_secs(1);
    let change = json!({"name": null, "repo_ids": null, "events": ["repo.created"]});
    let changed = server.patch(&server.admin, &one, change).await.ok(200);
    assert_eq!(
        (&changed["name"], &changed["repo_ids"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(changed["events"], json!(["repo.created"]));
    assert_ne!(changed["updated_at"], shown["updated_at"]);
    let deleted = server.delete(&server.admin, &one).await.ok(200);
    assert_eq!(deleted, json!({"success": true}));
    for (method, body) in [
        (Method::GET, None),
        (Method::PATCH, Some(json!({}))),
        (Method::DELETE, None),
    ] {
        let answer = server.call(&server.admin, method, &one, body).await;
        answer.refused(404, "WEBHOOK_TARGET_NOT_FOUND");
    }
}

#[tokio::test]
async fn wrong_targets_are_refused() {
    let server = TestServer::start().await;
    let repo = server.repo("demo").await;
    let post = |body: Value| server.post(&server.admin, "/acme/webhook-targets", body);
    for url in [
        "",
        "hooks.example",
        "ftp://hooks.example/",
        "http://",
        "https://user:pass@hooks.example/",
        "http://127.0.0.1/",
        "http://[::1]:80/",
        "http://169.254.169.254/latest",
        "http://10.1/",
        &format!("https://hooks.example/{}", "x".repeat(2048)),
    ] {
        post(json!({"url": url}))
            .await
            .refused(400, "INVALID_WEBHOOK_URL");
    }
    let url = "https://hooks.example/";
    post(json!({"url": url, "events": []}))
        .await
        .refused(400, "INVALID_EVENTS");
    post(json!({"url": url, "events": ["x"]}))
        .await
        .refused(400, "BAD_REQUEST");
    post(json!({"url": url, "repo_ids": []}))
        .await
        .refused(400, "INVALID_REPO_IDS");
    post(json!({"url": url, "repo_ids": ["repo_X"]}))
        .await
        .refused(400, "INVALID_REPO_IDS");
    // Callers restricted to some repos manage the targets of those only.
    let (_, limited) = server
        .key(json!({"scopes": ["admin"], "repo_ids": [repo]}))
        .await;
    let wide = post(json!({"url": url})).await.ok(201);
    let wide = format!("/acme/webhook-targets/{}", wide["id"].as_str().unwrap());
    server
        .get(&limited, &wide)
        .await
        .refused(404, "WEBHOOK_TARGET_NOT_FOUND");
    let own = server
        .post(&limited, "/acme/webhook-targets", json!({"url": url}))
        .await
        .ok(201);
    assert_eq!(own["repo_ids"], json!([repo]));
    let own = format!("/acme/webhook-targets/{}", own["id"].as_str().unwrap());
    server
        .patch(&limited, &own, json!({"repo_ids": null}))
        .await
        .refused(403, "FORBIDDEN");
    let (_, writer) = server.key(json!({})).await;
    server
        .get(&writer, "/acme/webhook-targets")
        .await
        .refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn repo_events_are_told_in_order_and_signed() {
    let (server, mut receiver) = (server().await, Receiver::start().await);
    server.repo("before").await;
    let events = ["repo.created", "repo.updated", "repo.deleted"];
    let (_, secret) = target(&server, &receiver, &events).await;
    let id = server.repo("demo").await;
    let body = json!({"name": "other", "tags": {"a": "b"}});
    server
        .patch(&server.admin, "/acme/demo", body)
        .await
        .ok(200);
    server.delete(&server.admin, "/acme/other").await.ok(200);
    let mut ids = Vec::new();
    for event in events {
        let received = receiver.next().await;
        assert!(received.verified(&secret));
        assert!(!received.verified("whsec_other"));
        assert_eq!(received.headers["content-type"], "application/json");
        assert_eq!(received.headers["x-mesa-event"], event);
        let body = received.json();
        assert_eq!(
            (&body["type"], &body["data"]["repo"]["id"]),
            (&json!(event), &json!(id))
        );
        assert_eq!(body["organization"]["slug"], "acme");
        assert_eq!(body["repository"]["id"], json!(id));
        if event == "repo.updated" {
            assert_eq!(body["data"]["before"]["name"], "demo");
            assert_eq!(body["data"]["after"]["name"], "other");
            assert_eq!(body["data"]["after"]["tags"], json!({"a": "b"}));
            assert_eq!(body["repository"]["url"], "https://mesa.example/acme/other");
        }
        ids.push(body["id"].as_str().unwrap().to_owned());
    }
    assert!(ids.is_sorted() && ids.iter().all(|id| id.starts_with("evt_")));
}

#[tokio::test]
async fn writing_in_a_mount_is_told() {
    let (server, mut receiver) = (server().await, Receiver::start().await);
    server.repo("demo").await;
    let events = ["change.created", "change.evolved", "bookmark.moved"];
    let (_, secret) = target(&server, &receiver, &events).await;
    let mut mount = Mount::open(&server, &server.admin, "demo").await;
    let root = mount.root();
    mount.create(root, b"a", What::File(b"1", 0o644)).await;
    let created = receiver.next().await.json();
    assert_eq!(created["type"], "change.created");
    let change = &created["data"]["change"];
    assert_eq!(change["parents"], json!(["z".repeat(32)]));
    assert_eq!(change["current_commit_oid"].as_str().unwrap().len(), 40);
    for field in [
        "authors",
        "authored_at",
        "committer",
        "created_at",
        "updated_at",
    ] {
        assert_ne!(change[field], Value::Null, "{field}");
    }
    let moved = receiver.next().await.json();
    assert_eq!(moved["type"], "bookmark.moved");
    assert_eq!(moved["data"]["bookmark"]["change_id"], change["id"]);
    assert_eq!(moved["data"]["from"]["change_id"], json!("z".repeat(32)));
    mount.create(root, b"b", What::File(b"2", 0o644)).await;
    // Reading seals what was written.
    server
        .get(&server.admin, "/acme/demo/content?path=b")
        .await
        .ok(200);
    let received = receiver.next().await;
    assert!(received.verified(&secret));
    let evolved = received.json();
    assert_eq!(evolved["type"], "change.evolved");
    let data = &evolved["data"];
    assert_eq!(
        data["previous_current_commit_oid"],
        change["current_commit_oid"]
    );
    assert_ne!(
        data["change"]["current_commit_oid"],
        change["current_commit_oid"]
    );
}

#[tokio::test]
async fn a_merge_is_told_as_a_move_and_as_a_merge() {
    let (server, mut receiver) = (server().await, Receiver::start().await);
    server.repo("demo").await;
    let root = "z".repeat(32);
    let change = server.make_change(&root, json!([put("f", "1")])).await;
    server.make_bookmark("side", &change["id"]).await;
    target(&server, &receiver, &["bookmark.moved", "bookmark.merged"]).await;
    let wanted = json!({"target": "main", "source": "side"});
    let path = "/acme/demo/bookmarks/merge";
    let merged = server.post(&server.admin, path, wanted).await.ok(200);
    for event in ["bookmark.moved", "bookmark.merged"] {
        let told = receiver.next().await.json();
        assert_eq!(told["type"], event);
        let bookmark = &told["data"]["bookmark"];
        assert_eq!(bookmark["name"], "main");
        assert_eq!(bookmark["change_id"], merged["change_id"]);
        assert_eq!(bookmark["commit_oid"], merged["commit_oid"]);
    }
}

#[tokio::test]
async fn a_target_that_fails_is_tried_again_before_others_follow() {
    let (server, mut receiver) = (server().await, Receiver::start().await);
    let (id, secret) = target(&server, &receiver, &["repo.created"]).await;
    receiver.status.store(503, Ordering::SeqCst);
    server.repo("first").await;
    let first = receiver.next().await;
    server.repo("second").await;
    let waiting = until(&server, &id, "the failure is recorded", |d| {
        d.len() == 2 && d[1]["attempts"][0]["status"] == 503
    });
    let waiting = waiting.await;
    assert_eq!(
        (&waiting[1]["state"], &waiting[0]["state"]),
        (&json!("pending"), &json!("pending"))
    );
    assert_eq!(
        waiting[0]["attempts"],
        json!([]),
        "the second waits for the first"
    );
    receiver.status.store(200, Ordering::SeqCst);
    server.clock.forward_secs(10);
    let again = receiver.next().await;
    assert_eq!(first.body, again.body);
    assert!(again.verified(&secret));
    assert_ne!(
        first.headers["x-mesa-signature"],
        again.headers["x-mesa-signature"]
    );
    assert_eq!(
        first.headers["x-mesa-delivery"],
        again.headers["x-mesa-delivery"]
    );
    assert_eq!(
        receiver.next().await.json()["data"]["repo"]["name"],
        "second"
    );
    let done = until(&server, &id, "both are delivered", |d| {
        d.iter().all(|d| d["state"] == "delivered")
    });
    let done = done.await;
    assert_eq!(done[1]["attempts"].as_array().unwrap().len(), 2);
    // Once more on request.
    let path = format!(
        "/acme/webhook-targets/{id}/deliveries/{}/redeliver",
        done[1]["id"].as_str().unwrap()
    );
    let more = server.post(&server.admin, &path, json!({})).await.ok(201);
    assert_eq!(more["redelivery_of"], done[1]["id"]);
    let third = receiver.next().await;
    assert_eq!(third.body, first.body);
    assert_ne!(
        third.headers["x-mesa-delivery"],
        first.headers["x-mesa-delivery"]
    );
}

#[tokio::test]
async fn a_target_is_given_up_after_a_day() {
    let (server, mut receiver) = (server().await, Receiver::start().await);
    // A redirect is an answer like any other that is not 2xx; nobody follows it.
    receiver.status.store(302, Ordering::SeqCst);
    let (id, _) = target(&server, &receiver, &["repo.created"]).await;
    server.repo("demo").await;
    let mut attempts = 0;
    let failed = loop {
        receiver.next().await;
        attempts += 1;
        let seen = until(&server, &id, "the attempt is recorded", |d| {
            d[0]["attempts"].as_array().unwrap().len() == attempts
        });
        let seen = seen.await.remove(0);
        if seen["state"] == "failed" {
            break seen;
        }
        server.clock.forward_secs(5000);
    };
    assert_eq!(failed["next_attempt_at"], Value::Null);
    assert!((15..=20).contains(&attempts), "{attempts}");
    assert!(
        failed["attempts"]
            .as_array()
            .unwrap()
            .iter()
            .all(|a| a["status"] == 302)
    );
}

#[tokio::test]
async fn names_that_lead_inside_are_not_reached() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    let url = receiver.url.replace("127.0.0.1", "localhost");
    let body = json!({"url": url, "events": ["repo.created"]});
    let made = server
        .post(&server.admin, "/acme/webhook-targets", body)
        .await
        .ok(201);
    let id = made["id"].as_str().unwrap();
    server.repo("demo").await;
    let seen = until(&server, id, "an attempt", |d| {
        d.len() == 1 && d[0]["attempts"] != json!([])
    });
    let seen = seen.await;
    assert_eq!(
        seen[0]["attempts"][0]["error"],
        "the address is not a public one"
    );
    assert!(receiver.requests.is_empty());
}

#[tokio::test]
async fn a_target_is_told_of_its_repos_only_and_nothing_once_deleted() {
    let (server, mut receiver) = (server().await, Receiver::start().await);
    let (inside, _) = (server.repo("inside").await, server.repo("outside").await);
    let body = json!({"url": receiver.url, "events": ["repo.updated"], "repo_ids": [inside]});
    let made = server
        .post(&server.admin, "/acme/webhook-targets", body)
        .await
        .ok(201);
    for repo in ["outside", "inside"] {
        let tags = json!({"tags": {"a": "b"}});
        server
            .patch(&server.admin, &format!("/acme/{repo}"), tags)
            .await
            .ok(200);
    }
    assert_eq!(
        receiver.next().await.json()["data"]["repo"]["name"],
        "inside"
    );
    let path = format!("/acme/webhook-targets/{}", made["id"].as_str().unwrap());
    server.delete(&server.admin, &path).await.ok(200);
    let tags = json!({"tags": {"a": "c"}});
    server
        .patch(&server.admin, "/acme/inside", tags)
        .await
        .ok(200);
    let (_, _second) = target(&server, &receiver, &["repo.created"]).await;
    server.repo("last").await;
    assert_eq!(receiver.next().await.json()["type"], "repo.created");
}

#[tokio::test]
async fn what_is_queued_survives_the_server() {
    let (server, mut receiver) = (server().await, Receiver::start().await);
    let (_, secret) = target(&server, &receiver, &["repo.created"]).await;
    receiver.status.store(500, Ordering::SeqCst);
    server.repo("demo").await;
    let first = receiver.next().await;
    receiver.status.store(200, Ordering::SeqCst);
    let server = server
        .restarted(|options| options.webhooks_allow_private = true)
        .await;
    server.clock.forward_secs(10);
    let again = receiver.next().await;
    assert!(again.verified(&secret));
    assert_eq!(again.body, first.body);
}
