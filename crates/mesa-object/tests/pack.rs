//! Packs: round trips, golden bytes, damage.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use mesa_object::{
    Domain, Object, OrgKey,
    object::OBJECT_BYTES_MAX,
    pack::{Codec, PackError, PackFooter, PackKind, PackWriter, decode_frame},
};
use proptest::prelude::*;
use support::{golden, key, noise};

fn pack(objects: &[Object]) -> Vec<u8> {
    let mut writer = PackWriter::new(PackKind::Data, 1);
    for object in objects {
        writer.push(object).unwrap();
    }
    let promised = writer.finished_bytes();
    let (bytes, _) = writer.finish();
    assert_eq!(bytes.len(), promised);
    bytes
}

#[test]
fn golden_pack() {
    let objects = [
        Object::chunk(&key(), &b"hello\n"[..]),
        Object::new(&key(), Domain::Directory, &b"\x01\x00\x00\x00\x00\x00"[..]),
    ];
    golden("pack.hex", &hex::encode(pack(&objects)));
}

/// A pack written by zstd 1.5.7 must stay readable whatever a later zstd writes.
#[test]
fn golden_compressed_pack_still_reads() {
    let text = "all work and no play ".repeat(30);
    let object = Object::chunk(&key(), text.clone().into_bytes());
    if std::env::var_os("BLESS").is_some() {
        golden(
            "pack-zstd.hex",
            &hex::encode(pack(std::slice::from_ref(&object))),
        );
    }
    let bytes = hex::decode(include_str!("golden/pack-zstd.hex").trim()).unwrap();
    let footer = PackFooter::of_pack(&bytes).unwrap();
    let (id, location) = footer.objects[0];
    assert_eq!((id, location.codec), (object.id, Codec::Zstd));
    let frame = location.frame();
    let frame = &bytes[frame.start as usize..frame.end as usize];
    assert_eq!(
        decode_frame(&key(), id, frame),
        Ok((Domain::Chunk, object.bytes.clone()))
    );
}

#[test]
fn compression_is_used_where_it_pays() {
    let mut writer = PackWriter::new(PackKind::Data, 3);
    let mut codec = |bytes: Vec<u8>| {
        let location = writer.push(&Object::chunk(&key(), bytes)).unwrap();
        (location.codec, location.stored)
    };
    assert_eq!(codec(b"short".to_vec()).0, Codec::Raw);
    assert_eq!(codec(noise(1, 100_000)), (Codec::Raw, 100_000));
    let (zstd, stored) = codec(b"text ".repeat(20_000));
    assert_eq!(zstd, Codec::Zstd);
    assert!(stored < 1_000);
    let half = [noise(2, 50_000), vec![0; 50_000]].concat();
    assert_eq!(codec(half).0, Codec::Zstd);
}

#[test]
fn limits_hold() {
    let mut writer = PackWriter::new(PackKind::Data, 1);
    let large = Object::chunk(&key(), vec![0; OBJECT_BYTES_MAX + 1]);
    assert_eq!(writer.push(&large), Err(PackError::TooLarge));
    let mut pushed = 0;
    let result = loop {
        let object = Object::chunk(&key(), noise(pushed, 8 << 20));
        match writer.push(&object) {
            Ok(_) => pushed += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((result, pushed), (PackError::TooLarge, 7));
    assert_eq!(
        PackFooter::of_pack(&writer.finish().0)
            .unwrap()
            .objects
            .len(),
        7
    );
}

#[test]
fn another_orgs_key_does_not_read() {
    let object = Object::chunk(&key(), &b"secret"[..]);
    let bytes = pack(std::slice::from_ref(&object));
    let frame = PackFooter::of_pack(&bytes).unwrap().objects[0].1.frame();
    let frame = &bytes[frame.start as usize..frame.end as usize];
    let other = OrgKey::new([1; 32]);
    assert_eq!(
        decode_frame(&other, object.id, frame),
        Err(PackError::Id(object.id))
    );
    assert!(Object::verified(&other, Domain::Chunk, object.id, object.bytes.clone()).is_none());
    assert!(Object::verified(&key(), Domain::Root, object.id, object.bytes.clone()).is_none());
}

fn any_objects() -> impl Strategy<Value = Vec<Object>> {
    let any_bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), 0_usize..40_000).prop_map(|(byte, len)| vec![byte; len]),
    ];
    let domains = [
        Domain::Chunk,
        Domain::Manifest,
        Domain::Directory,
        Domain::Root,
    ];
    let any_object = (any_bytes, 0..domains.len())
        .prop_map(move |(bytes, domain)| Object::new(&key(), domains[domain], bytes));
    prop::collection::vec(any_object, 0..12).prop_map(|mut objects| {
        objects.sort_by_key(|o| o.id);
        objects.dedup_by_key(|o| o.id);
        objects
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn packs_round_trip(objects in any_objects()) {
        let bytes = pack(&objects);
        let footer = PackFooter::of_pack(&bytes).unwrap();
        prop_assert_eq!(footer.objects.len(), objects.len());
        for ((id, location), object) in footer.objects.iter().zip(&objects) {
            let frame = location.frame();
            let frame = &bytes[frame.start as usize..frame.end as usize];
            let read = decode_frame(&key(), *id, frame).unwrap();
            prop_assert_eq!(read, (object.domain, object.bytes.clone()));
        }
    }

    /// Every single-byte change of a frame is noticed; of the rest, nothing panics and what the
    /// footer still says lies within the pack.
    #[test]
    fn damage_is_noticed(
        objects in any_objects(),
        at in any::<prop::sample::Index>(),
        change in 1_u8..,
        cut: bool,
    ) {
        let mut bytes = pack(&objects);
        let good = PackFooter::of_pack(&bytes).unwrap();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= change;
        }
        match PackFooter::of_pack(&bytes) {
            Ok(footer) => prop_assert_eq!(&footer, &good),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
        for (id, location) in &good.objects {
            let frame = location.frame();
            let Some(frame) = bytes.get(frame.start as usize..frame.end as usize) else { continue };
            let touched = !cut && location.frame().contains(&(at as u64));
            prop_assert_eq!(decode_frame(&key(), *id, frame).is_err(), touched);
        }
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = PackFooter::of_pack(&bytes);
        let _ = decode_frame(&key(), mesa_types::ObjectId([0; 32]), &bytes);
    }
}
