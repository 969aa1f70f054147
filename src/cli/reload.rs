//! Watching the profile files: a change is compiled beside the rules in force and swapped in as a
//! whole; a bad change, files that are gone, or a
//! directory without any, keep what is there.
//!
//! By polling and comparing, for the same reasons as the certificate's files: the kubelet swaps a
//! ConfigMap's files by a symlink above them (kubernetes#111947).

use std::{sync::Arc, time::Duration};

use tokio::time;

use super::rules::{RuleArgs, RulesError};
use crate::{
    admission::Rules,
    profile::{File, Profile},
    server::Service,
    telemetry::{Chain, ReloadResult},
};

/// Profiles whose usual templates are made ahead, in the order in which they are tried. Each takes
/// some 100 kB; a fleet has a few dozen, and a thousand would not fit into the pod's memory.
const WARM_PROFILES: usize = 64;

/// The files as they were read last, good or bad.
pub(super) struct Watched {
    args: RuleArgs,
    seen: Vec<File>,
}

impl Watched {
    /// Reads and compiles for the first time.
    pub(super) fn new(args: RuleArgs) -> Result<(Self, Rules), RulesError> {
        let seen = args.profiles.read()?;
        let rules = compile(&args, &seen)?;
        Ok((Self { args, seen }, rules))
    }

    /// Looks every `period`, for ever.
    pub(super) async fn watch(mut self, period: Duration, service: Arc<Service>) {
        let mut gone = false;
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
                Ok(None) => gone = false,
                Ok(Some(rules)) => {
                    gone = false;
                    let profiles = loaded(&rules);
                    service.replace_rules(rules);
                    service.metrics().profiles_reloaded(ReloadResult::Replaced);
                    service.metrics().profiles_loaded.set(profiles);
                    tracing::info!(profiles, "profiles replaced");
                }
                // Files that are gone stay gone for many looks, and one line is enough.
                Err(error) if gone && is_gone(&error) => {}
                Err(error) => {
                    gone = is_gone(&error);
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
        // More likely a ConfigMap that was deleted, or a mistake, than the wish for the built-in
        // profile on every runner; a restart brings that.
        if let Some(path) = self.args.profiles.emptied(&self.seen, &files) {
            let path = path.display().to_string();
            return (self, Err(RulesError::Emptied { path }));
        }
        let rules = compile(&self.args, &files);
        self.seen = files;
        (self, rules.map(Some))
    }
}

/// The rules, with the usual templates made ahead.
fn compile(args: &RuleArgs, files: &[File]) -> Result<Rules, RulesError> {
    let rules = args.compile(files)?;
    rules.profiles.iter().take(WARM_PROFILES).for_each(Profile::warm);
    Ok(rules)
}

/// Whether there is nothing to compile, which stays so for many looks.
const fn is_gone(error: &RulesError) -> bool {
    matches!(error, RulesError::Read { .. } | RulesError::Emptied { .. })
}

/// The number of profiles in force.
pub(super) fn loaded(rules: &Rules) -> i64 {
    i64::try_from(rules.profiles.len()).unwrap_or(i64::MAX)
}
