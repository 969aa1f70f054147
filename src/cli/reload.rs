//! From profile files and RunnerProfile objects to the configuration. This is the one owner of
//! both: a change of either is compiled beside what is in force, and replaces it as a whole. Bad
//! files, files that are gone and a directory without any keep what is in force. A bad object is
//! left out.
//!
//! Files are polled and compared, for the same reasons as the certificate's files: the kubelet
//! swaps a ConfigMap's files by a symlink above them (kubernetes#111947). Objects are watched
//! elsewhere.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::{self, MissedTickBehavior};

use super::config::{ConfigArgs, ConfigError};
use crate::{
    controller::profiles::{Acceptance, Channels, Compiled, Snapshot, first_problem},
    inject::Config,
    profile::{BUILTIN, File, Object, resolve},
    server::{Gate, Service},
    telemetry::{Chain, ReloadResult},
};

/// What the configuration is made of.
pub(super) struct ProfileSources {
    args: ConfigArgs,
    /// The files as they were read last, good or bad.
    read: Vec<File>,
    /// The files that are in force.
    files: Vec<File>,
    /// The objects as they were compiled last; `None` until they have been read.
    objects: Option<Vec<Object>>,
    /// Whether objects are watched.
    watches_objects: bool,
    /// Whether each object was in force, by uid, when they were compiled last.
    acceptances: BTreeMap<String, Acceptance>,
    /// Whether the built-in profile matches pods; `None` before that is known.
    is_builtin_for_all: Option<bool>,
}

/// A new configuration, and what to log once it is in force.
struct Reloaded {
    config: Config,
    compiled: Compiled,
    /// Objects that are left out from now on, each with its first problem.
    refusals: Vec<(String, String)>,
    /// Whether the built-in profile applies to runners from now on, if that changes.
    builtin: Option<bool>,
}

impl ProfileSources {
    /// Reads and compiles the files for the first time. Where objects will be watched, the built-in
    /// profile is only for pods that name it until the objects are known.
    pub(super) fn new(
        args: ConfigArgs,
        watches_objects: bool,
    ) -> Result<(Self, Config), ConfigError> {
        let files = args.profiles.read()?;
        let read = files.clone();
        let (objects, acceptances, is_builtin_for_all) = (None, BTreeMap::new(), None);
        let mut sources =
            Self { args, read, files, objects, watches_objects, acceptances, is_builtin_for_all };
        let files = sources.files.clone();
        let Reloaded { config, .. } = sources.compile(&files)?;
        Ok((sources, config))
    }

    /// Looks at the files every `period`, and at the objects whenever they have changed, for ever.
    pub(super) async fn watch(
        mut self,
        period: Duration,
        service: Arc<Service>,
        mut channels: Option<Channels>,
    ) {
        // Files that are missing stay so for many looks, and one line is enough.
        let mut last_error = None;
        let mut ticks = time::interval_at(time::Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let snapshot = tokio::select! {
                _ = ticks.tick() => None,
                snapshot = next(&mut channels) => Some(snapshot),
            };
            let is_of_objects = snapshot.is_some();
            // Reading and compiling may take milliseconds; reviews are answered meanwhile.
            let reload = move || match snapshot {
                None => self.reload_files(),
                Some(snapshot) => self.reload_objects(snapshot),
            };
            let (next, reloaded) = match tokio::task::spawn_blocking(reload).await {
                Ok(result) => result,
                Err(error) => {
                    tracing::error!(%error, "profiles are no longer watched");
                    return;
                }
            };
            self = next;
            match reloaded {
                // It says nothing of the files.
                Ok(None) if is_of_objects => {}
                Ok(None) => last_error = None,
                Ok(Some(Reloaded { config, compiled, refusals, builtin })) => {
                    if !is_of_objects {
                        last_error = None;
                        service.metrics().profiles_reloaded(ReloadResult::Replaced);
                    }
                    let profiles = loaded(&config);
                    service.replace_config(config);
                    service.metrics().profiles_loaded.set(profiles);
                    let objects = compiled.objects.len();
                    tracing::info!(profiles, objects, "profiles replaced");
                    log_changes(&refusals, builtin);
                    if self.objects.is_some() {
                        let all = compiled.acceptances.values();
                        let refused = all.filter(|one| !one.problems.is_empty()).count();
                        service.metrics().profile_objects(objects - refused, refused);
                    }
                    if let Some(channels) = channels.as_ref().filter(|_| self.objects.is_some()) {
                        channels.compiled.send_replace(Some(Arc::new(compiled)));
                    }
                }
                Err(error) => {
                    let text = Chain(&error).to_string();
                    if last_error.as_ref() != Some(&text) {
                        service.metrics().profiles_reloaded(ReloadResult::Rejected);
                        log_rejected(&error, &text);
                    }
                    last_error = Some(text);
                }
            }
            if self.objects.is_some() {
                service.gates().open(Gate::Profiles);
            }
        }
    }

    /// The new configuration, when the files have changed.
    fn reload_files(mut self) -> (Self, Result<Option<Reloaded>, ConfigError>) {
        let files = match self.args.profiles.read() {
            Ok(files) if files == self.read => return (self, Ok(None)),
            Ok(files) => files,
            Err(error) => return (self, Err(error)),
        };
        // More likely a ConfigMap that was deleted, or a mistake, than the wish for the built-in
        // profile on every runner; a restart brings that.
        if let Some(path) = self.args.profiles.emptied(&self.read, &files) {
            let path = path.display().to_string();
            return (self, Err(ConfigError::Emptied { path }));
        }
        self.read.clone_from(&files);
        let reloaded = self.compile(&files);
        if reloaded.is_ok() {
            self.files = files;
        }
        (self, reloaded.map(Some))
    }

    /// The new configuration, when the objects have changed in more than their status.
    fn reload_objects(
        mut self,
        snapshot: Snapshot,
    ) -> (Self, Result<Option<Reloaded>, ConfigError>) {
        let Some(snapshot) = snapshot else { return (self, Ok(None)) };
        let objects: Vec<Object> = snapshot.iter().map(|one| one.object.clone()).collect();
        if self.objects.as_ref() == Some(&objects) {
            return (self, Ok(None));
        }
        self.objects = Some(objects);
        let files = self.files.clone();
        let reloaded = self.compile(&files);
        (self, reloaded.map(Some))
    }

    /// Compiles `files` and the objects.
    fn compile(&mut self, files: &[File]) -> Result<Reloaded, ConfigError> {
        let objects = self.objects.clone().unwrap_or_default();
        let resolved = resolve(files, &objects).map_err(ConfigError::Profiles)?;
        let mut refused = resolved.refused;
        let acceptances = objects.iter().map(|Object { name, uid, generation, .. }| {
            let problems = refused.remove(name).unwrap_or_default();
            (uid.clone(), Acceptance { generation: *generation, problems })
        });
        let acceptances = acceptances.collect();
        let is_waiting = self.watches_objects && self.objects.is_none();
        let profiles =
            if is_waiting { resolved.profiles.builtin_by_name() } else { resolved.profiles };
        let config = self.args.config_of(profiles)?;
        let refusals = refusals(&objects, &self.acceptances, &acceptances);
        self.acceptances.clone_from(&acceptances);
        let mut builtin = None;
        if !is_waiting {
            let profile = config.profiles.get(BUILTIN);
            let applies = profile.is_some_and(|profile| profile.matcher.is_some());
            let before = self.is_builtin_for_all.replace(applies);
            builtin = before.filter(|before| *before != applies).map(|_| applies);
        }
        let compiled = Compiled { files: files.to_vec(), objects, acceptances };
        Ok(Reloaded { config, compiled, refusals, builtin })
    }
}

/// Name and first problem of each object that is refused now and was not, or was at another generation or
/// for another field. The words of a problem may name other profiles and change with them.
fn refusals(
    objects: &[Object],
    before: &BTreeMap<String, Acceptance>,
    now: &BTreeMap<String, Acceptance>,
) -> Vec<(String, String)> {
    let at = |acceptance: &Acceptance| {
        Some((acceptance.generation, acceptance.problems.first()?.path.clone()))
    };
    let refusal = |object: &Object| {
        let acceptance = now.get(&object.uid)?;
        let is_new = at(acceptance) != before.get(&object.uid).and_then(at);
        let problem = first_problem(&acceptance.problems).filter(|_| is_new)?;
        Some((object.name.clone(), problem))
    };
    objects.iter().filter_map(refusal).collect()
}

/// Logs what a configuration that is in force now has changed.
fn log_changes(refusals: &[(String, String)], builtin: Option<bool>) {
    for (profile, problem) in refusals {
        tracing::warn!(profile, problem, "RunnerProfile refused and left out");
    }
    match builtin {
        Some(false) => tracing::warn!(
            "there are profiles now: the built-in profile no longer applies to runners that no \
             profile matches"
        ),
        Some(true) => tracing::info!(
            "there are no profiles any more: the built-in profile applies to runners again"
        ),
        None => {}
    }
}

fn log_rejected(error: &ConfigError, text: &str) {
    if let ConfigError::Profiles(problems) = error {
        for problem in problems {
            tracing::warn!(%problem, "profiles not replaced, the old ones stay");
        }
    } else {
        tracing::warn!(error = text, "profiles not replaced, the old ones stay");
    }
}

/// The objects, when they have changed; never where none are watched.
async fn next(channels: &mut Option<Channels>) -> Snapshot {
    if let Some(channels) = channels
        && channels.snapshots.changed().await.is_ok()
    {
        return channels.snapshots.borrow_and_update().clone();
    }
    std::future::pending().await
}

/// The number of profiles in force.
pub(super) fn loaded(config: &Config) -> i64 {
    i64::try_from(config.profiles.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
