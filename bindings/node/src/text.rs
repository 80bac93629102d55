//! Text as Node encodes it.

use std::fmt::Write as _;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};

/// As Node reads base64: with or without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// An encoding's name that is none.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown(pub String);

/// How bytes are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    /// One byte, one character.
    Latin1,
    Base64,
    Hex,
}

impl Encoding {
    /// By its name in Node; UTF-8 when there is none.
    pub fn named(name: Option<&str>) -> Result<Self, Unknown> {
        let Some(name) = name else {
            return Ok(Self::Utf8);
        };
        match name.to_ascii_lowercase().as_str() {
            "utf8" | "utf-8" => Ok(Self::Utf8),
            "latin1" | "binary" | "ascii" => Ok(Self::Latin1),
            "base64" => Ok(Self::Base64),
            "hex" => Ok(Self::Hex),
            _ => Err(Unknown(name.to_owned())),
        }
    }

    /// Bytes as text.
    pub fn decode(self, bytes: &[u8]) -> String {
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Self::Latin1 => bytes.iter().copied().map(char::from).collect(),
            Self::Base64 => STANDARD.encode(bytes),
            Self::Hex => bytes.iter().fold(String::new(), |mut text, byte| {
                // A string takes everything.
                let _ = write!(text, "{byte:02x}");
                text
            }),
        }
    }

    /// Text as bytes; like Node, it ends at what the encoding does not have.
    pub fn encode(self, text: String) -> Vec<u8> {
        match self {
            Self::Utf8 => text.into_bytes(),
            Self::Latin1 => text.chars().map(|c| c as u32 as u8).collect(),
            Self::Base64 => decode_base64(&text),
            Self::Hex => text
                .as_bytes()
                .chunks_exact(2)
                .map_while(|pair| {
                    let digit = |byte: u8| char::from(byte).to_digit(16);
                    Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8)
                })
                .collect(),
        }
    }
}

/// Also wrapped, and in the alphabet of addresses; what is no base64 is skipped.
fn decode_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        b'+' | b'/' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => Some(byte),
        _ => None,
    };
    let bytes = text.bytes().take_while(|byte| *byte != b'=');
    let mut digits: Vec<u8> = bytes.filter_map(digit).collect();
    if digits.len() % 4 == 1 {
        // Six bits are no byte.
        digits.pop();
    }
    LENIENT.decode(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        for name in ["latin1", "binary", "base64", "hex"] {
            let encoding = Encoding::named(Some(name)).unwrap();
            assert_eq!(encoding.encode(encoding.decode(&bytes)), bytes, "{name}");
        }
        let utf8 = Encoding::named(None).unwrap();
        assert_eq!(utf8.encode(utf8.decode("ä€".as_bytes())), "ä€".as_bytes());
        assert_eq!(Encoding::Hex.encode("0aFzff".into()), [0x0a]);
        assert_eq!(Encoding::Base64.encode("AQI".into()), [1, 2]);
        assert_eq!(Encoding::Base64.encode("AQ\nID\n".into()), [1, 2, 3]);
        assert_eq!(Encoding::Base64.encode("-_8".into()), [0xfb, 0xff]);
        assert_eq!(Encoding::Base64.encode("AR==".into()), [1]);
        assert_eq!(Encoding::Base64.encode("AQIDB".into()), [1, 2, 3]);
        assert_eq!(Encoding::named(Some("koi8")), Err(Unknown("koi8".into())));
    }
}
