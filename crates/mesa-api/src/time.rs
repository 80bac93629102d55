//! Times on the wire.

use std::fmt;

use mesa_types::Nanos;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A time as RFC 3339 with milliseconds and `+00:00` (`2026-01-02T03:04:05.678+00:00`): Python
/// 3.10 does not read `Z`. Reading accepts every RFC 3339 offset and precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub Nanos);

impl Timestamp {
    /// The same time without the part below a second.
    #[must_use]
    pub fn whole_seconds(self) -> Self {
        Self(Nanos::from_parts(self.0.parts().0, 0))
    }
}

impl From<Nanos> for Timestamp {
    fn from(nanos: Nanos) -> Self {
        Self(nanos)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = self.0.parts();
        // The range of Nanos is 1677..2262, well inside what the calendar takes.
        let t = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}+00:00",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            nanos / 1_000_000
        )
    }
}

impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339 with milliseconds and `+00:00`.",
        })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(de::Error::custom)?;
        let nanos = i64::try_from(time.unix_timestamp_nanos()).map_err(de::Error::custom)?;
        Ok(Self(Nanos(nanos)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form() {
        let time = Timestamp(Nanos(1_767_323_045_678_999_999));
        assert_eq!(time.to_string(), "2026-01-02T03:04:05.678+00:00");
        assert_eq!(
            time.whole_seconds().to_string(),
            "2026-01-02T03:04:05.000+00:00"
        );
        assert_eq!(
            Timestamp(Nanos(-1)).to_string(),
            "1969-12-31T23:59:59.999+00:00"
        );
        for extreme in [i64::MIN, i64::MAX] {
            assert!(Timestamp(Nanos(extreme)).to_string().ends_with("+00:00"));
        }
    }

    #[test]
    fn reads_other_offsets() {
        let parsed: Timestamp = serde_json::from_str(r#""2026-01-02T04:04:05.5+01:00""#).unwrap();
        assert_eq!(parsed.to_string(), "2026-01-02T03:04:05.500+00:00");
        let z: Timestamp = serde_json::from_str(r#""1970-01-01T00:00:01Z""#).unwrap();
        assert_eq!(z.0, Nanos(1_000_000_000));
        assert!(serde_json::from_str::<Timestamp>(r#""yesterday""#).is_err());
    }
}
