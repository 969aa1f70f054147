//! Which tokens were given out, for what, and until when.

use std::collections::HashMap;

use crate::{clock::Seconds, jwt, refusal::Refusal};

/// What a token is good for. None is good for anything else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Grant {
    /// Exchanging it for a tenant's token.
    Registration(u64),
    /// All calls of a tenant.
    Tenant(u64),
    /// The message queue of a scale set.
    Queue(u64),
}

/// The tokens that are valid.
#[derive(Debug)]
pub(crate) struct Tokens {
    lifetime: Seconds,
    serial: u64,
    valid: HashMap<String, (Grant, Seconds)>,
}

impl Tokens {
    /// Tokens that live so long.
    pub(crate) fn new(lifetime: Seconds) -> Self {
        Self { lifetime, serial: 0, valid: HashMap::new() }
    }

    /// A new token, and when it expires.
    pub(crate) fn issue(&mut self, grant: Grant, now: Seconds) -> (String, Seconds) {
        self.valid.retain(|_, (_, expires)| *expires > now);
        self.serial += 1;
        let expires = now.saturating_add(self.lifetime);
        let token = jwt::token(self.serial, expires);
        self.valid.insert(token.clone(), (grant, expires));
        (token, expires)
    }

    /// What a token is good for now. Fails with 401 for one that is unknown or has expired.
    pub(crate) fn grant(&self, token: &str, now: Seconds) -> Result<Grant, Refusal> {
        match self.valid.get(token) {
            Some((grant, expires)) if *expires > now => Ok(grant.clone()),
            Some(_) => Err(Refusal::unauthorized("the token has expired")),
            None => Err(Refusal::unauthorized("the token is unknown")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_lifetime() {
        let mut tokens = Tokens::new(60);
        let (token, expires) = tokens.issue(Grant::Tenant(3), 1000);
        assert_eq!(expires, 1060);
        assert_eq!(tokens.grant(&token, 1059), Ok(Grant::Tenant(3)));
        assert_eq!(tokens.grant(&token, 1060).unwrap_err().status, 401);
        assert_eq!(tokens.grant("made up", 1000).unwrap_err().status, 401);
    }

    #[test]
    fn expired_tokens_are_forgotten() {
        let mut tokens = Tokens::new(60);
        for now in (0..6000).step_by(60) {
            tokens.issue(Grant::Tenant(1), now);
        }
        assert_eq!(tokens.valid.len(), 1);
    }
}
