//! Byte sizes as people write them.

/// Reads `1048576`, `512MB`, `10 GB`, `1.5GiB`. Decimal and binary units both mean powers of
/// 1024, as the documentation's "320 MB" does.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(format!("'{text}' is not a size such as 512MB or 10GB")),
    };
    let wrong = || format!("'{text}' is not a size such as 512MB or 10GB");
    let value: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = value * (1u64 << shift) as f64;
    if !(0.0..=1e18).contains(&bytes) {
        return Err(wrong());
    }
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("1k", 1024),
            ("320 MB", 320 << 20),
            ("10GB", 10 << 30),
            ("1.5GiB", 3 << 29),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "-1", "1.2.3", "10 bananas", "99999999TB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
