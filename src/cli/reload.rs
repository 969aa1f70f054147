//! From profile files and RunnerProfile objects to the configuration. This is the one owner of
//! both: a change of either is compiled beside what is in force, and replaces it as a whole. Bad
//! files, files that are gone and a directory without any keep what is in force. A bad object is
//! left out.
//!
//! Files are polled and compared, for the same reasons as the certificate's files: the kubelet
//! swaps a ConfigMap's files by a symlink above them (kubernetes#111947). Objects are watched
//! elsewhere.

mod log_dedup;

use std::{sync::Arc, time::Duration};

use tokio::time::{self, MissedTickBehavior};

use self::log_dedup::{LogDedup, Message};
use super::config::{ConfigArgs, ConfigError};
use crate::{
    controller::profiles::{Acceptance, Channels, Compiled, Snapshot},
    inject::Config,
    profile::{File, Object, resolve},
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
    log: LogDedup,
}

/// A new configuration.
struct Reloaded {
    config: Config,
    compiled: Compiled,
    messages: Vec<Message>,
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
        let log = LogDedup::default();
        let mut sources = Self { args, read, files, objects: None, watches_objects, log };
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
        let mut is_missing = false;
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
                Ok(None) => is_missing &= is_of_objects,
                Ok(Some(Reloaded { config, compiled, messages })) => {
                    is_missing &= is_of_objects;
                    if !is_of_objects {
                        service.metrics().profiles_reloaded(ReloadResult::Replaced);
                    }
                    let profiles = loaded(&config);
                    service.replace_config(config);
                    service.metrics().profiles_loaded.set(profiles);
                    let objects = compiled.objects.len();
                    tracing::info!(profiles, objects, "profiles replaced");
                    messages.iter().for_each(Message::log);
                    if self.objects.is_some() {
                        let all = compiled.acceptances.values();
                        let refused = all.filter(|one| !one.problems.is_empty()).count();
                        service.metrics().profile_objects(objects - refused, refused);
                    }
                    if let Some(channels) = channels.as_ref().filter(|_| self.objects.is_some()) {
                        channels.compiled.send_replace(Some(Arc::new(compiled)));
                    }
                }
                // Files that are missing stay so for many looks, and one line is enough.
                Err(error) if is_missing && is_of_missing(&error) => {}
                Err(error) => {
                    is_missing = is_of_missing(&error);
                    service.metrics().profiles_reloaded(ReloadResult::Rejected);
                    if let ConfigError::Profiles(problems) = &error {
                        for problem in problems {
                            tracing::warn!(%problem, "profiles not replaced, the old ones stay");
                        }
                    } else {
                        let error = Chain(&error);
                        tracing::warn!(%error, "profiles not replaced, the old ones stay");
                    }
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
        let mut messages = self.log.refusals(&objects, &acceptances);
        if !is_waiting {
            messages.extend(self.log.builtin(&config));
        }
        let compiled = Compiled { files: files.to_vec(), objects, acceptances };
        Ok(Reloaded { config, compiled, messages })
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

/// Whether there is nothing to compile, which stays so for many looks.
const fn is_of_missing(error: &ConfigError) -> bool {
    matches!(error, ConfigError::Read { .. } | ConfigError::Emptied { .. })
}

/// The number of profiles in force.
pub(super) fn loaded(config: &Config) -> i64 {
    i64::try_from(config.profiles.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
