//! The flags of a configuration: profiles from files, and the users of ARC's controller.

use std::{
    ffi::OsStr,
    fmt, fs,
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use super::{UsageError, output};
use crate::{
    files,
    inject::{Config, ControllerUsers, DEFAULT_CONTROLLER_USER},
    profile::{File, Problem, ProfileSet, bad_image},
};

/// The flags of profiles.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Config")]
pub struct ProfileArgs {
    /// Files or directories with runner profiles, beside the built-in ones
    #[arg(
        long,
        env = "ARC_ROCM_PROFILES",
        num_args = 1..,
        value_delimiter = ',',
        value_name = "PATH"
    )]
    pub profiles: Vec<PathBuf>,

    /// Image that runner pods mount the scripts from; default: the scripts' text
    #[arg(long, env = "ARC_ROCM_SCRIPTS_IMAGE", value_name = "IMAGE", value_parser = image)]
    pub scripts_image: Option<String>,
}

/// The flags of a configuration.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Config")]
pub struct ConfigArgs {
    /// The profiles.
    #[command(flatten)]
    pub profiles: ProfileArgs,

    /// User who may create runner pods; `*` matches any text
    #[arg(
        long = "arc-controller-user",
        env = "ARC_ROCM_ARC_CONTROLLER_USER",
        value_delimiter = ',',
        default_value = DEFAULT_CONTROLLER_USER,
        value_name = "PATTERN"
    )]
    pub controller_users: Vec<String>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file or directory.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// A directory or a file has no profiles any more.
    #[error("{path} has no profiles any more")]
    Emptied {
        /// The file or directory.
        path: String,
    },
    /// A directory has no file of a profile's kind.
    #[error("{path} has no *.yaml, *.yml or *.json file")]
    NoFile {
        /// The directory.
        path: String,
    },
    /// The profiles have problems.
    #[error("{}", lines(.0))]
    Profiles(Vec<Problem>),
    /// A pattern of `--arc-controller-user` is not valid.
    #[error("--arc-controller-user: {0}")]
    ControllerUser(#[from] crate::profile::PatternError),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl ProfileArgs {
    /// Reads the files. Those of a directory come in the order of their names, as far as
    /// [`File::is_name`] says.
    pub fn read(&self) -> Result<Vec<File>, ConfigError> {
        let mut files = Vec::new();
        for path in &self.profiles {
            let error = |source| ConfigError::Read { path: path.display().to_string(), source };
            if path.is_dir() {
                let entries = fs::read_dir(path).map_err(error)?;
                let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>();
                let mut paths: Vec<PathBuf> = paths.map_err(error)?;
                paths.retain(|path| is_profile_file(path));
                paths.sort();
                for path in paths {
                    files.push(read(&path)?);
                }
            } else {
                files.push(read(path)?);
            }
        }
        Ok(files)
    }

    /// The first path that had files `before` and has none `now`.
    pub(super) fn emptied(&self, before: &[File], now: &[File]) -> Option<&Path> {
        let mut paths = self.profiles.iter().map(PathBuf::as_path);
        paths.find(|path| has_files(before, path) && !has_files(now, path))
    }

    /// The first path that has none of `files`.
    pub(super) fn without_files(&self, files: &[File]) -> Option<&Path> {
        self.profiles.iter().map(PathBuf::as_path).find(|path| !has_files(files, path))
    }

    /// Reads and compiles the profiles.
    pub fn compile(&self) -> Result<ProfileSet, ConfigError> {
        let profiles = ProfileSet::compile(&self.read()?).map_err(ConfigError::Profiles)?;
        Ok(profiles.with_scripts_image(self.scripts_image.as_deref()))
    }
}

fn image(text: &str) -> Result<String, String> {
    bad_image(text).map_or_else(|| Ok(text.to_owned()), Err)
}

/// Whether one of `files` is `path`, or in it.
fn has_files(files: &[File], path: &Path) -> bool {
    files.iter().any(|file| Path::new(&file.name).starts_with(path))
}

fn is_profile_file(path: &Path) -> bool {
    path.file_name().and_then(OsStr::to_str).is_some_and(File::is_name) && !path.is_dir()
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let name = path.display().to_string();
    let text = files::read(path).and_then(|bytes| {
        String::from_utf8(bytes)
            .map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
    });
    match text {
        Ok(text) => Ok(File { name, text }),
        Err(source) => Err(ConfigError::Read { path: name, source }),
    }
}

impl ConfigArgs {
    /// The configuration with the profiles of `paths`, and the default of all other flags.
    pub(super) fn of_profiles(paths: Vec<PathBuf>) -> anyhow::Result<Config> {
        let profiles = ProfileArgs { profiles: paths, scripts_image: None };
        let controller_users = vec![DEFAULT_CONTROLLER_USER.to_owned()];
        Self { profiles, controller_users }.config().map_err(usage_error)
    }

    /// Reads and compiles the configuration.
    pub fn config(&self) -> Result<Config, ConfigError> {
        self.compile(&self.profiles.read()?)
    }

    /// Compiles the configuration with the profiles of `files`.
    pub fn compile(&self, files: &[File]) -> Result<Config, ConfigError> {
        self.config_of(ProfileSet::compile(files).map_err(ConfigError::Profiles)?)
    }

    /// The configuration with these profiles.
    pub(super) fn config_of(&self, profiles: ProfileSet) -> Result<Config, ConfigError> {
        let users = ControllerUsers::parse(self.controller_users.iter().map(String::as_str))?;
        let image = self.profiles.scripts_image.as_deref();
        Ok(Config::new(profiles.with_scripts_image(image), users))
    }
}

/// The usage error of a configuration. Problems are printed one a line, so that editors can jump to
/// them.
pub(super) fn usage_error(error: ConfigError) -> anyhow::Error {
    let message = error.to_string();
    match error {
        ConfigError::Profiles(problems) => problems_error(&problems),
        ConfigError::Read { source, .. } => anyhow::Error::new(source).context(UsageError(message)),
        _ => UsageError::error(message),
    }
}

/// Prints each problem on standard error, and returns their number as a usage error.
pub(super) fn problems_error(problems: &[impl fmt::Display]) -> anyhow::Error {
    let mut stderr = io::stderr();
    for problem in problems {
        let _ = writeln!(stderr, "{problem}");
    }
    let count = output::count(problems.len(), "problem");
    UsageError::error(format!("{count} in profiles"))
}
