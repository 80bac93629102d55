//! `x-mesa-signature`: `t=<unix seconds>,sha256=<hex>`, the HMAC-SHA256 of `<t>.<body>` under the
//! target's secret.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The header's value.
pub fn header(secret: &str, unix_seconds: i64, body: &str) -> String {
    let signature = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map(|mut mac| {
        mac.update(format!("{unix_seconds}.").as_bytes());
        mac.update(body.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    });
    // HMAC takes keys of every length.
    format!("t={unix_seconds},sha256={}", signature.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vector() {
        assert_eq!(
            header("whsec_x", 1_700_000_000, "{}"),
            "t=1700000000,\
             sha256=be8cb8325f2202445260a855532f967e30ad2a9394ce28da66ee02880ddcb661"
        );
    }
}
