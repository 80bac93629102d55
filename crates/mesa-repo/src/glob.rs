//! Name patterns: `*` is any run of characters, `?` is one.

use crate::error::Error;

const LEN_MAX: usize = 256;

#[derive(Debug, Clone)]
pub(crate) struct Glob(Vec<char>);

impl Glob {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() || text.len() > LEN_MAX {
            return Err(Error::invalid(
                "INVALID_GLOB",
                format!("a pattern must have 1 to {LEN_MAX} bytes"),
            ));
        }
        Ok(Self(text.chars().collect()))
    }

    /// Greedy matching with one point to go back to: linear in practice, at worst
    /// pattern x text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut p, mut t) = (0, 0);
        let mut back = None;
        while t < text.len() {
            match self.0.get(p) {
                Some('*') => {
                    back = Some((p, t));
                    p += 1;
                }
                Some(&c) if c == '?' || c == text[t] => {
                    p += 1;
                    t += 1;
                }
                _ => match back {
                    Some((star, from)) => {
                        p = star + 1;
                        t = from + 1;
                        back = Some((star, t));
                    }
                    None => return false,
                },
            }
        }
        self.0[p..].iter().all(|&c| c == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let matches = |pattern: &str, text: &str| Glob::parse(pattern).unwrap().matches(text);
        for (pattern, text) in [
            ("*", ""),
            ("main", "main"),
            ("f*/x", "feature/a/x"),
            ("?ain", "main"),
            ("*a*b", "xaab"),
            ("é?", "éa"),
            ("**", "x"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("main", "main2"),
            ("?", ""),
            ("a*b", "ac"),
            ("M", "m"),
            ("a?", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
        assert!(!matches(&"*a".repeat(100), &"b".repeat(200)));
        assert!(Glob::parse("").is_err());
    }
}
