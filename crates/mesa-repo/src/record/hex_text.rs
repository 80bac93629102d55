//! Bytes as hex digits in JSON, for `#[serde(with = ...)]`.

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// Writes the digits.
pub(crate) fn serialize<S: Serializer>(
    bytes: impl AsRef<[u8]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

/// Reads the digits; arrays must match in length.
pub(crate) fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<Vec<u8>>,
{
    let digits = String::deserialize(deserializer)?;
    let bytes = hex::decode(digits).map_err(D::Error::custom)?;
    T::try_from(bytes).map_err(|_| D::Error::custom("wrong number of hex digits"))
}
