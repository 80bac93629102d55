//! Lengths of time as people write and read them.

use std::time::Duration;

/// Reads `90`, `90s`, `15m`, `1h`, `7d`, `2w`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a length of time such as 30s, 15m, 1h or 7d");
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(factor)
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

/// The two largest units: `1 h 5 min`.
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let first = units
        .iter()
        .position(|(size, _)| seconds >= *size)
        .unwrap_or(3);
    let (size, name) = units[first];
    let mut text = format!("{} {name}", seconds / size);
    if let Some((next, name)) = units.get(first + 1) {
        let rest = seconds % size / next;
        if rest > 0 {
            text = format!("{text} {rest} {name}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for (text, seconds) in [
            ("90", 90),
            ("90s", 90),
            ("15m", 900),
            ("1h", 3600),
            ("7d", 604_800),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "h", "1x", "-1s", "99999999999999999999w", "1.5h"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(human(Duration::from_secs(0)), "0 s");
        assert_eq!(human(Duration::from_mins(65)), "1 h 5 min");
        assert_eq!(human(Duration::from_hours(24)), "1 d");
    }
}
