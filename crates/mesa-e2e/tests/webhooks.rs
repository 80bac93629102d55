//! Webhooks over the death of the server.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
};

use mesa_e2e::{Server, eventually};

/// Takes one request and answers 204; returns its body.
fn take(listener: &TcpListener) -> String {
    let (stream, _) = listener.accept().expect("a connection");
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header line");
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().expect("a length");
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
    reader.get_mut().write_all(answer).expect("an answer");
    String::from_utf8(body).expect("text")
}

#[test]
fn events_survive_a_killed_server() {
    let mut server = Server::start_with(&["--webhooks-allow-private"]);
    let place = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let place = place.expect("a free port");
    let key = server.admin_key();
    let body = format!("{{\"url\":\"http://{place}/\",\"events\":[\"repo.created\"]}}");
    let (status, made) = server.post("/v1/my-org/webhook-targets", &key, &body);
    assert_eq!(status, 201, "{made}");
    let target = made["id"].as_str().expect("an id");
    let deliveries = format!("/v1/my-org/webhook-targets/{target}/deliveries");
    server.create_repo("first");
    // Nobody listens there yet.
    eventually(30, "a failed attempt", || {
        let (_, list) = server.get(&deliveries, &key);
        list["deliveries"][0]["attempts"][0]["error"] == "cannot connect"
    });
    // An event that may not even be queued yet.
    server.create_repo("second");
    server.kill();
    let listener = TcpListener::bind(place).expect("the same port");
    server.restart();
    for name in ["first", "second"] {
        let body = take(&listener);
        assert!(body.contains(&format!("\"name\":\"{name}\"")), "{body}");
    }
    eventually(30, "both are delivered", || {
        let (_, list) = server.get(&deliveries, &key);
        let all = list["deliveries"].as_array().expect("deliveries");
        all.len() == 2 && all.iter().all(|d| d["state"] == "delivered")
    });
}
