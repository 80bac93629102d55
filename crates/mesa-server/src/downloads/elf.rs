//! Whether a file is a program that runs without shared libraries.

use std::{fs::File, io, os::unix::fs::FileExt};

use mesa_package::Arch;

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const PT_INTERP: u32 = 3;

/// The architecture of a static 64-bit program; `None` for everything else.
pub(super) fn static_program(file: &File) -> io::Result<Option<Arch>> {
    let mut header = [0; HEADER];
    match file.read_exact_at(&mut header, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    // 64 bits, little end first, version 1.
    if header[..7] != *b"\x7fELF\x02\x01\x01" {
        return Ok(None);
    }
    let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let arch = match half(18) {
        62 => Arch::X86_64,
        183 => Arch::Aarch64,
        _ => return Ok(None),
    };
    let mut offset = [0; 8];
    offset.copy_from_slice(&header[32..40]);
    let count = usize::from(half(56));
    if usize::from(half(54)) != PROGRAM_HEADER || count == 0 {
        return Ok(None);
    }
    let mut table = vec![0; count * PROGRAM_HEADER];
    if file
        .read_exact_at(&mut table, u64::from_le_bytes(offset))
        .is_err()
    {
        return Ok(None);
    }
    let interpreted = table
        .chunks_exact(PROGRAM_HEADER)
        .any(|entry| entry[..4] == PT_INTERP.to_le_bytes());
    Ok((!interpreted).then_some(arch))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(bytes: &[u8]) -> Option<Arch> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        static_program(&file).unwrap()
    }

    /// A program of this machine with one program header of a kind.
    pub(super) fn program(machine: u16, kind: u32) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(HEADER + PROGRAM_HEADER, 0);
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32..40].copy_from_slice(&(HEADER as u64).to_le_bytes());
        bytes[54..56].copy_from_slice(&(PROGRAM_HEADER as u16).to_le_bytes());
        bytes[56..58].copy_from_slice(&1_u16.to_le_bytes());
        bytes[HEADER..HEADER + 4].copy_from_slice(&kind.to_le_bytes());
        bytes
    }

    #[test]
    fn kinds_of_programs() {
        assert_eq!(read(&program(62, 1)), Some(Arch::X86_64));
        assert_eq!(read(&program(183, 1)), Some(Arch::Aarch64));
        assert_eq!(read(&program(62, PT_INTERP)), None);
        assert_eq!(read(&program(243, 1)), None);
        assert_eq!(read(&program(62, 1)[..100]), None);
        assert_eq!(read(b"#!/bin/sh\n"), None);
        assert_eq!(read(b""), None);
    }

    #[test]
    fn damaged_headers_do_no_harm() {
        let whole = program(62, 1);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                let _any = read(&damaged);
            }
        }
    }
}
