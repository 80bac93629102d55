//! A cable between clients and a server that counts what goes through it.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Forwards connections to a server.
#[derive(Debug)]
pub struct Wire {
    port: u16,
    to_server: Arc<AtomicU64>,
    to_client: Arc<AtomicU64>,
    ends: Arc<Mutex<Ends>>,
}

/// What a cut ends.
#[derive(Debug, Default)]
struct Ends {
    is_cut: bool,
    open: Vec<TcpStream>,
}

impl Wire {
    /// A new one to a port of this machine. It lasts as long as the process.
    ///
    /// # Panics
    /// If no port is free.
    pub fn to(server: u16) -> Self {
        Self::between(
            TcpListener::bind("127.0.0.1:0").expect("a free port"),
            server,
        )
    }

    /// A new one from a listener, which may be of another network, to a port of this machine.
    ///
    /// # Panics
    /// If the listener has no address.
    pub fn between(listener: TcpListener, server: u16) -> Self {
        let port = listener.local_addr().expect("an address").port();
        let (to_server, to_client) = (Arc::default(), Arc::default());
        let counts = (Arc::clone(&to_server), Arc::clone(&to_client));
        let ends = Arc::new(Mutex::new(Ends::default()));
        let all = Arc::clone(&ends);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)) {
                    let ways = (client.try_clone(), server.try_clone());
                    if let (Ok(client_end), Ok(server_end)) = ways {
                        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                        if all.is_cut {
                            continue;
                        }
                        all.open.extend(client.try_clone());
                        all.open.extend(server.try_clone());
                        drop(all);
                        forward(client, server_end, Arc::clone(&counts.0));
                        forward(server, client_end, Arc::clone(&counts.1));
                    }
                }
            }
        });
        Self {
            port,
            to_server,
            to_client,
            ends,
        }
    }

    /// Ends every connection and takes no more, until [`Wire::mend`].
    pub fn cut(&self) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.is_cut = true;
        for stream in ends.open.drain(..) {
            // One that ended before is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Takes connections again.
    pub fn mend(&self) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.is_cut = false;
    }

    /// Its own address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Bytes sent by clients so far.
    pub fn to_server(&self) -> u64 {
        self.to_server.load(Ordering::SeqCst)
    }

    /// Bytes sent by the server so far.
    pub fn to_client(&self) -> u64 {
        self.to_client.load(Ordering::SeqCst)
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, count: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 256 * 1024];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            count.fetch_add(n as u64, Ordering::SeqCst);
            if to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
        let _ = from.shutdown(Shutdown::Read);
    });
}
