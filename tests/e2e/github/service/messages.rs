//! Sessions of listeners, and their messages.

use serde_json::{Value, json};

use super::{Service, list};
use crate::{clock::Seconds, refusal::Refusal, scale_set::Session, tokens::Grant};

impl Service {
    /// Opens a message session. `base` is the service's own URL. Fails with 404, and with 409
    /// while another listener has one.
    pub(crate) fn open_session(
        &mut self,
        tenant: u64,
        id: u64,
        owner: &str,
        base: &str,
        now: Seconds,
    ) -> Result<Value, Refusal> {
        self.scale_set(tenant, id)?;
        let serial = self.next_id();
        let session = format!("00000000-0000-4000-8000-{serial:012x}");
        let set = self.scale_set_mut(tenant, id)?;
        set.open(Session { id: session.clone(), owner: owner.to_owned(), seen: now })?;
        self.session_json(tenant, id, &session, base, now)
    }

    /// Gives a session a new token. Fails with 404.
    pub(crate) fn refresh_session(
        &mut self,
        tenant: u64,
        id: u64,
        session: &str,
        base: &str,
        now: Seconds,
    ) -> Result<Value, Refusal> {
        self.scale_set_mut(tenant, id)?.touch(session, now)?;
        self.session_json(tenant, id, session, base, now)
    }

    /// As `RunnerScaleSetSession` of `actions/scaleset`. The listener ends without statistics.
    fn session_json(
        &mut self,
        tenant: u64,
        id: u64,
        session: &str,
        base: &str,
        now: Seconds,
    ) -> Result<Value, Refusal> {
        let (token, _) = self.tokens.issue(Grant::Queue(id), now);
        let set = self.scale_set(tenant, id)?;
        let owner = set.session.as_ref().map(|session| session.owner.as_str());
        let path = format!("tenants/{tenant}/_apis/runtime/runnerscalesets/{id}/messages");
        Ok(json!({
            "sessionId": session,
            "ownerName": owner,
            "runnerScaleSet": self.json(set),
            "messageQueueUrl": format!("{base}/{path}?sessionId={session}"),
            "messageQueueAccessToken": token,
            "statistics": set.statistics(self.runners_of(id)),
        }))
    }

    /// Ends a session. Fails with 404.
    pub(crate) fn close_session(
        &mut self,
        tenant: u64,
        id: u64,
        session: &str,
        now: Seconds,
    ) -> Result<(), Refusal> {
        let set = self.scale_set_mut(tenant, id)?;
        set.touch(session, now)?;
        set.session = None;
        Ok(())
    }

    /// The next message after the one that was seen last, if there is one. Fails with 404 where
    /// the session is not in force (any more).
    pub(crate) fn next_message(
        &mut self,
        tenant: u64,
        id: u64,
        session: &str,
        seen: u64,
        now: Seconds,
    ) -> Result<Option<Value>, Refusal> {
        let set = self.scale_set_mut(tenant, id)?;
        set.touch(session, now)?;
        Ok(set.queue.after(seen).cloned())
    }

    /// Notes how many runners the listener says it can have.
    pub(crate) fn note_capacity(
        &mut self,
        tenant: u64,
        id: u64,
        capacity: u64,
    ) -> Result<(), Refusal> {
        self.scale_set_mut(tenant, id)?.capacity = Some(capacity);
        Ok(())
    }

    /// Deletes a message.
    pub(crate) fn delete_message(
        &mut self,
        tenant: u64,
        id: u64,
        session: &str,
        message: u64,
        now: Seconds,
    ) -> Result<(), Refusal> {
        let set = self.scale_set_mut(tenant, id)?;
        set.touch(session, now)?;
        set.queue.delete(message);
        Ok(())
    }

    /// Gives the scale set those of these jobs that are on offer, and lists them.
    pub(crate) fn acquire_jobs(
        &mut self,
        tenant: u64,
        id: u64,
        jobs: &[u64],
        now: Seconds,
    ) -> Result<Value, Refusal> {
        let runners = self.runners_of(id);
        let acquired = self.scale_set_mut(tenant, id)?.acquire(jobs, runners, now);
        Ok(list(acquired.into_iter().map(Value::from)))
    }
}
