//! Access tokens as clients sign them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Place, sh};

const SIGN: &str = r#"
import base64, hashlib, hmac, json
b64 = lambda b: base64.urlsafe_b64encode(b).rstrip(b"=").decode()
part = lambda v: b64(json.dumps(v).encode())
head = part({"alg": "HS256", "typ": "mesa-at+jwt", "kid": ID + ".v1"})
claims = part({"iss": ID, "aud": "mesa-api", "scopes": ["read", "write"], "repos": None,
               "iat": IAT, "exp": EXP, "jti": "t-%d" % EXP})
key = b64(hashlib.sha256(KEY.encode()).digest()).encode()
text = head + "." + claims
print(text + "." + b64(hmac.new(key, text.encode(), hashlib.sha256).digest()))
"#;

/// An access token signed with an API key that ends in `seconds`: shorter than any key can live.
///
/// # Panics
/// If it cannot be made.
pub fn short_lived(key: &str, key_id: &str, seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("a clock after 1970").as_secs();
    let dir = Place::fresh();
    let script = format!(
        "ID, KEY, IAT, EXP = {key_id:?}, {key:?}, {now}, {}\n{SIGN}",
        now + seconds
    );
    std::fs::write(dir.path().join("sign.py"), script).expect("a script");
    sh(dir.path(), "python3 sign.py")
}
