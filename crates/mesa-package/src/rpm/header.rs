//! The header structure: an index of tags and a store of their values.

use std::collections::BTreeMap;

/// A tag's value.
pub(super) enum Value {
    Int16(Vec<u16>),
    Int32(Vec<u32>),
    Text(String),
    Texts(Vec<String>),
    Translated(String),
}

/// Tags in ascending order, as rpm wants them.
#[derive(Default)]
pub(super) struct Header(BTreeMap<u32, Value>);

impl Header {
    pub fn add(&mut self, tag: u32, value: Value) {
        let before = self.0.insert(tag, value);
        debug_assert!(before.is_none(), "tag {tag} twice");
    }

    /// The bytes, with everything inside one region of this tag.
    pub fn bytes(&self, region: u32) -> Vec<u8> {
        let entries = self.0.len() as u32 + 1;
        let (mut index, mut store) = (Vec::new(), Vec::new());
        for (tag, value) in &self.0 {
            let (kind, align, count) = match value {
                Value::Int16(numbers) => (3, 2, numbers.len()),
                Value::Int32(numbers) => (4, 4, numbers.len()),
                Value::Text(_) => (6, 1, 1),
                Value::Texts(texts) => (8, 1, texts.len()),
                Value::Translated(_) => (9, 1, 1),
            };
            let at = store.len().next_multiple_of(align);
            store.resize(at, 0);
            index.extend(entry(*tag, kind, at as u32, count as u32));
            value.write(&mut store);
        }
        // The region's trailer counts back to the beginning of the index.
        let trailer = store.len() as u32;
        let back = (entries * 16).wrapping_neg();
        store.extend(entry(region, 7, back, 16));
        let mut bytes = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
        bytes.extend(entries.to_be_bytes());
        bytes.extend((store.len() as u32).to_be_bytes());
        bytes.extend(entry(region, 7, trailer, 16));
        bytes.extend(index);
        bytes.extend(store);
        bytes
    }
}

impl Value {
    fn write(&self, store: &mut Vec<u8>) {
        let mut text = |text: &str| {
            store.extend_from_slice(text.as_bytes());
            store.push(0);
        };
        match self {
            Self::Text(one) | Self::Translated(one) => text(one),
            Self::Texts(texts) => texts.iter().for_each(|one| text(one)),
            Self::Int16(numbers) => store.extend(numbers.iter().flat_map(|n| n.to_be_bytes())),
            Self::Int32(numbers) => store.extend(numbers.iter().flat_map(|n| n.to_be_bytes())),
        }
    }
}

fn entry(tag: u32, kind: u32, offset: u32, count: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (slot, field) in bytes.chunks_exact_mut(4).zip([tag, kind, offset, count]) {
        slot.copy_from_slice(&field.to_be_bytes());
    }
    bytes
}
