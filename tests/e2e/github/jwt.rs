//! JSON web tokens, as far as ARC's client looks at them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use crate::clock::Seconds;

/// A token `HEADER.CLAIMS.SIGNATURE` with the claims `exp` and `jti`.
///
/// The client parses it without checking the signature (`golang-jwt`, `ParseUnverified`) and takes
/// nothing but `exp` from it, to renew the token a minute before. The algorithm has to be one that
/// the parser knows, and the signature has to be base64. `serial` keeps two tokens of the same
/// second apart.
pub(crate) fn token(serial: u64, expires: Seconds) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    let header = part(&json!({"alg": "HS256", "typ": "JWT"}));
    let claims = part(&json!({"exp": expires, "jti": serial.to_string()}));
    let signature = BASE64.encode("not a signature");
    format!("{header}.{claims}.{signature}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_finds_the_expiry() {
        let token = token(7, 1_795_564_800);
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3);
        let claims: Value = serde_json::from_slice(&BASE64.decode(parts[1]).unwrap()).unwrap();
        assert_eq!(claims, json!({"exp": 1_795_564_800_u64, "jti": "7"}));
        let header: Value = serde_json::from_slice(&BASE64.decode(parts[0]).unwrap()).unwrap();
        assert_eq!(header["alg"], "HS256");
        assert!(BASE64.decode(parts[2]).is_ok());
    }

    #[test]
    fn two_tokens_of_one_second_differ() {
        assert_ne!(token(1, 10), token(2, 10));
    }
}
