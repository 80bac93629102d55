//! A `mesa serve` process.

use std::{
    fs::File,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{Client, Output, Place, Wire, eventually, mesa_binary};

/// A running (or killed) server with a data directory of its own.
#[derive(Debug)]
pub struct Server {
    dir: Place,
    port: u16,
    args: Vec<String>,
    tls: bool,
    failing: bool,
    child: Option<Child>,
}

impl Server {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further arguments of `mesa serve`, kept for restarts.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start_with(args: &[&str]) -> Self {
        Self::start_at(Place::fresh(), args, false)
    }

    /// The same with its files in a directory that stays when the server is dropped.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start_in(dir: &Path) -> Self {
        Self::start_at(Place::Given(dir.to_owned()), &[], false)
    }

    /// The same with `--tls-cert` and `--tls-key`. Only [`Client`]s can talk to it: the requests
    /// of this type are plain HTTP.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start_with_tls(cert: &Path, key: &Path) -> Self {
        let (cert, key) = (cert.display().to_string(), key.display().to_string());
        let args = ["--tls-cert", &cert, "--tls-key", &key];
        Self::start_at(Place::fresh(), &args, true)
    }

    fn start_at(dir: Place, args: &[&str], tls: bool) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let port = free.expect("a free port").port();
        let mut server = Self {
            dir,
            port,
            args: args.iter().map(ToString::to_string).collect(),
            tls,
            failing: false,
            child: None,
        };
        server.restart();
        server
    }

    /// Starts it again after [`Server::kill`] or [`Server::terminate`].
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "the server is running");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"));
        let log = log.expect("the server's log file");
        let mut command = Command::new(mesa_binary());
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args(&self.args)
            .env("HOME", self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second descriptor"))
            .stderr(log);
        if self.failing {
            command.env("MESA_TEST_FAILING", "1");
        }
        self.child = Some(command.spawn().expect("mesa serve starts"));
        eventually(60, "the server is ready", || self.is_ready());
    }

    /// Starts it again so that every REST request fails in the server (programs that are built for
    /// tests only).
    ///
    /// # Panics
    /// If it does not stop or come up.
    pub fn restart_failing(&mut self) {
        assert_eq!(self.terminate(), 0, "{}", self.log());
        self.failing = true;
        self.restart();
    }

    fn is_ready(&self) -> bool {
        if !self.tls {
            return self.get("/readyz", "").0 == 200;
        }
        self.data_dir().join("admin.key").exists()
            && TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<Pid> {
        self.child.as_ref().map(Pid::from_child)
    }

    /// kill -9; nothing if it is not running.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill");
            child.wait().expect("wait");
        }
    }

    /// Whether it was started and not killed or terminated since.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// SIGSTOP: it answers nothing until [`Server::resume`].
    ///
    /// # Panics
    /// If it is not running.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    ///
    /// # Panics
    /// If it is not running.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("a running server");
        let pid = Pid::from_raw(child.id().cast_signed()).expect("a pid");
        kill_process(pid, signal).expect("kill");
    }

    /// SIGTERM; returns the exit code.
    ///
    /// # Panics
    /// If it is not running.
    pub fn terminate(&mut self) -> i32 {
        let mut child = self.child.take().expect("a running server");
        let pid = Pid::from_raw(child.id().cast_signed()).expect("a pid");
        kill_process(pid, Signal::TERM).expect("kill");
        child.wait().expect("wait").code().unwrap_or(-1)
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Everything the server printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// `http://127.0.0.1:PORT`, or `https://localhost:PORT`.
    pub fn url(&self) -> String {
        if self.tls {
            format!("https://localhost:{}", self.port)
        } else {
            format!("http://127.0.0.1:{}", self.port)
        }
    }

    /// The bootstrap key.
    ///
    /// # Panics
    /// If the file is missing.
    pub fn admin_key(&self) -> String {
        let text = std::fs::read_to_string(self.data_dir().join("admin.key"));
        text.expect("admin.key").trim().to_owned()
    }

    /// A client machine with a fresh home directory.
    pub fn client(&self) -> Client {
        Client::new(Place::fresh(), &self.url())
    }

    /// A client machine behind a cable that counts.
    pub fn client_over(&self, wire: &Wire) -> Client {
        Client::new(Place::fresh(), &wire.url())
    }

    /// A cable to it.
    pub fn wire(&self) -> Wire {
        Wire::to(self.port)
    }

    /// A client machine whose home directory is given and stays.
    pub fn client_in(&self, home: &Path) -> Client {
        Client::new(Place::Given(home.to_owned()), &self.url())
    }

    /// Creates a repo by REST and returns its id.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn create_repo(&self, name: &str) -> String {
        let body = format!("{{\"name\":\"{name}\"}}");
        let (status, answer) = self.post("/v1/my-org/repos", &self.admin_key(), &body);
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_str().expect("an id").to_owned()
    }

    /// Creates a key by REST from a JSON body and returns (secret, id).
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn create_key(&self, body: &str) -> (String, String) {
        let (status, answer) = self.post("/v1/my-org/api-keys", &self.admin_key(), body);
        assert_eq!(status, 201, "{answer}");
        let text = |field: &str| answer[field].as_str().expect("a text").to_owned();
        (text("key"), text("id"))
    }

    /// GET with a bearer key; an empty key sends none. Returns the status and the JSON body.
    pub fn get(&self, path: &str, key: &str) -> (u16, Value) {
        let (status, body) = self.request("GET", path, key, "*/*", None);
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// GET of raw bytes (`Accept: application/octet-stream`).
    pub fn get_raw(&self, path: &str, key: &str) -> (u16, Vec<u8>) {
        self.request("GET", path, key, "application/octet-stream", None)
    }

    /// POST of a JSON body.
    pub fn post(&self, path: &str, key: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.request("POST", path, key, "*/*", Some(body));
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// PATCH with a JSON body.
    pub fn patch(&self, path: &str, key: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.request("PATCH", path, key, "*/*", Some(body));
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// DELETE.
    pub fn delete(&self, path: &str, key: &str) -> (u16, Value) {
        let (status, body) = self.request("DELETE", path, key, "*/*", None);
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// One HTTP/1.0 request; status 0 when the server does not answer.
    fn request(
        &self,
        method: &str,
        path: &str,
        key: &str,
        accept: &str,
        body: Option<&str>,
    ) -> (u16, Vec<u8>) {
        let mut head =
            format!("{method} {path} HTTP/1.0\r\nhost: 127.0.0.1\r\naccept: {accept}\r\n");
        if !key.is_empty() {
            head.extend(["authorization: Bearer ", key, "\r\n"]);
        }
        if let Some(body) = body {
            head += "content-type: application/json\r\n";
            head.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
        }
        head += "\r\n";
        head += body.unwrap_or("");
        self.exchange(head.as_bytes())
    }

    /// Sends bytes as they are and reads to the end of the connection, so they should ask for
    /// HTTP/1.0. Status 0 when the server does not answer.
    pub fn exchange(&self, request: &[u8]) -> (u16, Vec<u8>) {
        let mut answer = Vec::new();
        let exchange = TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut stream| {
            // A server that refuses a body answers without reading it.
            let _ = stream.write_all(request);
            stream.read_to_end(&mut answer)
        });
        let split = answer.windows(4).position(|w| w == b"\r\n\r\n");
        let Some(split) = split else {
            return (0, Vec::new());
        };
        // A reset after the answer is the server's way to say that it reads no more.
        let _ = exchange;
        let status = answer
            .get(9..12)
            .and_then(|s| std::str::from_utf8(s).ok()?.parse().ok());
        (status.unwrap_or(0), answer.split_off(split + 4))
    }

    /// Path of the repo's content in REST, percent-encoding what needs it.
    pub fn content_path(repo: &str, path: &str) -> String {
        let mut encoded = String::new();
        for byte in path.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.extend(["%", &format!("{byte:02X}")]);
            }
        }
        format!("/v1/my-org/{repo}/content?path={encoded}")
    }

    /// Runs `mesa` as an operator on the server's host.
    pub fn mesa(&self, args: &[&str]) -> Output {
        let mut command = Command::new(mesa_binary());
        command
            .args(args)
            .env("HOME", self.dir.path())
            .env("MESA_API_URL", self.url())
            .env("MESA_API_KEY", self.admin_key())
            .stdin(Stdio::null());
        Output::of(&mut command)
    }

    /// Size in bytes of everything below a directory.
    pub fn disk_bytes(dir: &Path) -> u64 {
        let Ok(entries) = std::fs::read_dir(dir) else {
            return 0;
        };
        let sizes = entries.flatten().map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => Self::disk_bytes(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        });
        sizes.sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
