//! Watching the profile files: a change is compiled beside the rules in force and swapped in as a
//! whole; a bad change, or files that are gone, keep what is there.
//!
//! By polling and comparing, for the same reasons as the certificate's files: the kubelet swaps a
//! ConfigMap's files by a symlink above them (kubernetes#111947).

use std::{sync::Arc, time::Duration};

use tokio::time;

use super::rules::{RuleArgs, RulesError};
use crate::{
    admission::Rules,
    profile::File,
    server::Service,
    telemetry::{Chain, ReloadResult},
};

/// The files as they were read last, good or bad.
pub(super) struct Watched {
    args: RuleArgs,
    seen: Vec<File>,
}

impl Watched {
    /// Reads and compiles for the first time.
    pub(super) fn new(args: RuleArgs) -> Result<(Self, Rules), RulesError> {
        let seen = args.profiles.read()?;
        let rules = args.compile(&seen)?;
        Ok((Self { args, seen }, rules))
    }

    /// Looks every `period`, for ever.
    pub(super) async fn watch(mut self, period: Duration, service: Arc<Service>) {
        let mut unreadable = false;
        loop {
            time::sleep(period).await;
            // Reading and compiling may take milliseconds; reviews are answered meanwhile.
            let (next, changed) = match tokio::task::spawn_blocking(move || self.changed()).await {
                Ok(result) => result,
                Err(error) => {
                    tracing::error!(%error, "profiles are no longer watched");
                    return;
                }
            };
            self = next;
            match changed {
                Ok(None) => unreadable = false,
                Ok(Some(rules)) => {
                    unreadable = false;
                    let profiles = loaded(&rules);
                    service.replace_rules(rules);
                    service.metrics().profiles_reloaded(ReloadResult::Replaced);
                    service.metrics().profiles_loaded.set(profiles);
                    tracing::info!(profiles, "profiles replaced");
                }
                // Files that are gone stay gone for many looks, and one line is enough.
                Err(RulesError::Read { .. }) if unreadable => {}
                Err(error) => {
                    unreadable = matches!(error, RulesError::Read { .. });
                    service.metrics().profiles_reloaded(ReloadResult::Rejected);
                    if let RulesError::Profiles(problems) = &error {
                        for problem in problems {
                            tracing::warn!(%problem, "profiles not replaced, the old ones stay");
                        }
                    } else {
                        let error = Chain(&error);
                        tracing::warn!(%error, "profiles not replaced, the old ones stay");
                    }
                }
            }
        }
    }

    /// The new rules, when the files have changed.
    fn changed(mut self) -> (Self, Result<Option<Rules>, RulesError>) {
        let files = match self.args.profiles.read() {
            Ok(files) if files == self.seen => return (self, Ok(None)),
            Ok(files) => files,
            Err(error) => return (self, Err(error)),
        };
        let rules = self.args.compile(&files);
        self.seen = files;
        (self, rules.map(Some))
    }
}

/// The number of profiles in force.
pub(super) fn loaded(rules: &Rules) -> i64 {
    i64::try_from(rules.profiles.len()).unwrap_or(i64::MAX)
}
