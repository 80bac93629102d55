//! What travels, counted on the wire.

use std::{
    fs::File,
    io::{BufWriter, Write},
};

use mesa_e2e::Server;

const MIB: u64 = 1 << 20;

/// Different bytes everywhere, cheaply: a seeded generator's words.
fn fill(file: &mut impl Write, bytes: u64, seed: u64) {
    let mut state = seed | 1;
    let mut block = vec![0; 1 << 16];
    for _ in 0..bytes / block.len() as u64 {
        for word in block.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block).expect("a write");
    }
}

fn append_uploads_little(size: u64) {
    let server = Server::start();
    server.create_repo("work");
    let (key, _) = server.create_key("{}");
    let wire = server.wire();
    let client = server.client_over(&wire);
    client.mount(&key).ok();
    let path = client.repo("work").join("big");
    let mut file = BufWriter::new(File::create(&path).expect("a file"));
    fill(&mut file, size, 1);
    file.flush().expect("a flush");
    file.get_ref()
        .sync_all()
        .expect("the first version is on the server");
    drop(file);
    client.mesa(&["sync"]).ok();
    let first = wire.to_server();
    assert!(
        first > size,
        "{first} bytes for {size} that do not compress"
    );

    let mut file = File::options().append(true).open(&path).expect("a file");
    fill(&mut file, MIB, 2);
    file.sync_all()
        .expect("the second version is on the server");
    drop(file);
    client.mesa(&["sync"]).ok();
    let second = wire.to_server() - first;
    assert!(
        (MIB..=4 * MIB).contains(&second),
        "{second} bytes for 1 MiB at the end of {size}"
    );
    let (_, listing) = server.get(&Server::content_path("work", ""), &server.admin_key());
    assert_eq!(listing["entries"][0]["size"], size + MIB, "{listing}");
}

#[test]
fn appending_to_a_big_file_uploads_little() {
    append_uploads_little(1024 * MIB);
}
