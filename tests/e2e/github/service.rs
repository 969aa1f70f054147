//! The service: all that it remembers, and each thing that can be asked of it. No I/O and no
//! clock; requests arrive here parsed, with the time. What is about scale sets, runners, messages and
//! the scripts of tests is below `service/`.

mod messages;
mod runners;
mod scale_sets;
mod scripts;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    clock::{Seconds, rfc3339},
    refusal::Refusal,
    scale_set::ScaleSet,
    scope::Scope,
    tokens::{Grant, Tokens},
};

/// The runner group that every tenant has. `isDefaultGroup` is said of it, and ARC's charts look
/// it up in lower case.
const DEFAULT_GROUP: &str = "Default";

/// What a run of the stand-in is like.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Of every token, in seconds.
    pub(crate) token_lifetime: Seconds,
    /// Runner groups beside the default one, in all tenants.
    pub(crate) groups: Vec<String>,
}

/// A runner that is registered: ARC asked for its configuration.
#[derive(Clone, Debug)]
struct Runner {
    name: String,
    scale_set: u64,
}

/// GitHub, as far as ARC sees it.
#[derive(Debug)]
pub(crate) struct Service {
    groups: Vec<String>,
    tokens: Tokens,
    /// The last number that was given to anything: IDs are unique over all tenants.
    last_id: u64,
    tenants: BTreeMap<u64, Scope>,
    scale_sets: BTreeMap<u64, ScaleSet>,
    runners: BTreeMap<u64, Runner>,
}

// === setting up ===

impl Service {
    /// One that nothing is registered with.
    pub(crate) fn new(settings: Settings) -> Self {
        let Settings { token_lifetime, groups } = settings;
        Self {
            groups: std::iter::once(DEFAULT_GROUP.to_owned()).chain(groups).collect(),
            tokens: Tokens::new(token_lifetime),
            last_id: 0,
            tenants: BTreeMap::new(),
            scale_sets: BTreeMap::new(),
            runners: BTreeMap::new(),
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The name of a runner group, by its ID.
    fn group(&self, id: u64) -> Option<&str> {
        let index = usize::try_from(id).ok()?.checked_sub(1)?;
        self.groups.get(index).map(String::as_str)
    }

    /// How many runners a scale set has.
    fn runners_of(&self, scale_set: u64) -> usize {
        self.runners.values().filter(|runner| runner.scale_set == scale_set).count()
    }
}

// === tokens ===

impl Service {
    /// A registration token for a scope, which becomes a tenant by it.
    pub(crate) fn registration_token(&mut self, scope: Scope, now: Seconds) -> Value {
        let known = self.tenants.iter().find(|(_, known)| **known == scope).map(|(id, _)| *id);
        let tenant = known.unwrap_or_else(|| {
            let id = self.next_id();
            self.tenants.insert(id, scope);
            id
        });
        let (token, expires) = self.tokens.issue(Grant::Registration(tenant), now);
        json!({"token": token, "expires_at": rfc3339(expires)})
    }

    /// Exchanges a registration token for a tenant's URL below `base`, and its token.
    pub(crate) fn register(
        &mut self,
        token: &str,
        base: &str,
        now: Seconds,
    ) -> Result<Value, Refusal> {
        let Grant::Registration(tenant) = self.tokens.grant(token, now)? else {
            return Err(Refusal::unauthorized("not a registration token"));
        };
        let (token, _) = self.tokens.issue(Grant::Tenant(tenant), now);
        Ok(json!({"url": format!("{base}/tenants/{tenant}"), "token": token}))
    }

    /// Fails with 401 unless the token is this tenant's.
    pub(crate) fn authorize(&self, token: &str, tenant: u64, now: Seconds) -> Result<(), Refusal> {
        match self.tokens.grant(token, now)? {
            Grant::Tenant(id) if id == tenant => Ok(()),
            _ => Err(Refusal::unauthorized("not this tenant's token")),
        }
    }

    /// Fails with 401 unless the token is that of a scale set's message queue.
    pub(crate) fn authorize_queue(
        &self,
        token: &str,
        id: u64,
        now: Seconds,
    ) -> Result<(), Refusal> {
        match self.tokens.grant(token, now)? {
            Grant::Queue(scale_set) if scale_set == id => Ok(()),
            _ => Err(Refusal::unauthorized("not this queue's token")),
        }
    }
}

/// As all lists of the service.
fn list(items: impl Iterator<Item = Value>) -> Value {
    let value: Vec<Value> = items.collect();
    json!({"count": value.len(), "value": value})
}

#[cfg(test)]
mod tests;
