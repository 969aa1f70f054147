//! From sources to config: the one place that knows the newest profile files and objects. A change
//! of either is compiled beside the config in force and swapped in as a whole; a bad change, files
//! that are gone, or a directory without any, keep what is there.
//!
//! Files are looked at by polling and comparing, for the same reasons as the certificate's files:
//! the kubelet swaps a ConfigMap's files by a symlink above them (kubernetes#111947). Objects are
//! watched elsewhere.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::{self, MissedTickBehavior};

use super::{
    config::{ConfigArgs, ConfigError},
    news::{News, Said},
};
use crate::{
    cluster::profiles::{Feed, Sight, Verdict, Verdicts},
    inject::Config,
    profile::{File, Object, resolve},
    server::{Gate, Service},
    telemetry::{Chain, ReloadResult},
};

/// The sources of the config.
pub(super) struct Watched {
    args: ConfigArgs,
    /// The files as they were read last, good or bad.
    seen: Vec<File>,
    /// The files as they were good last.
    files: Vec<File>,
    /// The objects as they were compiled last; `None` until there is anything to know of them.
    objects: Option<Vec<Object>>,
    /// Whether there will be anything to know of objects.
    is_fed: bool,
    /// What the log has of it.
    said: Said,
}

/// What a look at the sources came to.
struct Changed {
    config: Config,
    verdicts: Verdicts,
    news: Vec<News>,
}

impl Watched {
    /// Reads and compiles the files for the first time.
    pub(super) fn new(args: ConfigArgs) -> Result<(Self, Config), ConfigError> {
        let seen = args.profiles.read()?;
        let config = args.compile(&seen)?;
        let files = seen.clone();
        let mut said = Said::default();
        said.builtin(&config);
        Ok((Self { args, seen, files, objects: None, is_fed: false, said }, config))
    }

    /// Looks at the files every `period`, and at the objects whenever they have changed, for ever.
    pub(super) async fn watch(
        mut self,
        period: Duration,
        service: Arc<Service>,
        mut feed: Option<Feed>,
    ) {
        if feed.is_some() {
            // What holds for whom is not known before they are.
            self.is_fed = true;
            self.said = Said::default();
        }
        let mut gone = false;
        let mut ticks = time::interval_at(time::Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let sight = tokio::select! {
                _ = ticks.tick() => None,
                sight = next(&mut feed) => Some(sight),
            };
            let is_objects = sight.is_some();
            // Reading and compiling may take milliseconds; reviews are answered meanwhile.
            let look = move || match sight {
                None => self.look_at_files(),
                Some(sight) => self.look_at_objects(sight),
            };
            let (next, changed) = match tokio::task::spawn_blocking(look).await {
                Ok(result) => result,
                Err(error) => {
                    tracing::error!(%error, "profiles are no longer watched");
                    return;
                }
            };
            self = next;
            match changed {
                Ok(None) => gone &= is_objects,
                Ok(Some(Changed { config, verdicts, news })) => {
                    gone &= is_objects;
                    let profiles = loaded(&config);
                    service.replace_config(config);
                    if !is_objects {
                        service.metrics().profiles_reloaded(ReloadResult::Replaced);
                    }
                    service.metrics().profiles_loaded.set(profiles);
                    tracing::info!(profiles, objects = verdicts.len(), "profiles replaced");
                    news.iter().for_each(News::log);
                    if self.objects.is_some() {
                        let refused = |one: &&Verdict| !one.problems.is_empty();
                        let refused = verdicts.values().filter(refused).count();
                        service.metrics().profile_objects(verdicts.len() - refused, refused);
                    }
                    if let Some(feed) = &feed {
                        feed.verdicts.send_replace(verdicts);
                    }
                }
                // Files that are gone stay gone for many looks, and one line is enough.
                Err(error) if gone && is_gone(&error) => {}
                Err(error) => {
                    gone = is_gone(&error);
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

    /// The new config, when the files have changed.
    fn look_at_files(mut self) -> (Self, Result<Option<Changed>, ConfigError>) {
        let files = match self.args.profiles.read() {
            Ok(files) if files == self.seen => return (self, Ok(None)),
            Ok(files) => files,
            Err(error) => return (self, Err(error)),
        };
        // More likely a ConfigMap that was deleted, or a mistake, than the wish for the built-in
        // profile on every runner; a restart brings that.
        if let Some(path) = self.args.profiles.emptied(&self.seen, &files) {
            let path = path.display().to_string();
            return (self, Err(ConfigError::Emptied { path }));
        }
        self.seen.clone_from(&files);
        let changed = self.compile(&files);
        if changed.is_ok() {
            self.files = files;
        }
        (self, changed.map(Some))
    }

    /// The new config, when what decides about them has changed in the objects.
    fn look_at_objects(mut self, sight: Sight) -> (Self, Result<Option<Changed>, ConfigError>) {
        let Some(sight) = sight else { return (self, Ok(None)) };
        let objects: Vec<Object> = sight.iter().map(|seen| seen.object.clone()).collect();
        if self.objects.as_ref() == Some(&objects) {
            return (self, Ok(None));
        }
        self.objects = Some(objects);
        let files = std::mem::take(&mut self.files);
        let changed = self.compile(&files);
        self.files = files;
        (self, changed.map(Some))
    }

    /// Compiles everything.
    fn compile(&mut self, files: &[File]) -> Result<Changed, ConfigError> {
        let objects = self.objects.as_deref().unwrap_or_default();
        let mut resolved = resolve(files, objects).map_err(ConfigError::Profiles)?;
        let mut verdicts = BTreeMap::new();
        for Object { name, uid, generation, .. } in objects {
            let problems = resolved.refused.remove(name).unwrap_or_default();
            verdicts.insert(uid.clone(), Verdict { generation: *generation, problems });
        }
        let config = self.args.config_of(resolved.profiles)?;
        let verdicts = Arc::new(verdicts);
        let mut news = self.said.verdicts(objects, &verdicts);
        if self.objects.is_some() || !self.is_fed {
            news.extend(self.said.builtin(&config));
        }
        Ok(Changed { config, verdicts, news })
    }
}

/// The objects, when they have changed; never without a feed.
async fn next(feed: &mut Option<Feed>) -> Sight {
    if let Some(feed) = feed
        && feed.objects.changed().await.is_ok()
    {
        return feed.objects.borrow_and_update().clone();
    }
    std::future::pending().await
}

/// Whether there is nothing to compile, which stays so for many looks.
const fn is_gone(error: &ConfigError) -> bool {
    matches!(error, ConfigError::Read { .. } | ConfigError::Emptied { .. })
}

/// The number of profiles in force.
pub(super) fn loaded(config: &Config) -> i64 {
    i64::try_from(config.profiles.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
