//! The configuration that a command works with: profiles from files, and who counts as ARC's controller.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use super::Misconfigured;
use crate::{
    inject::Config,
    inject::{ControllerUsers, DEFAULT_CONTROLLER_USER},
    profile::{File, Problem, ProfileSet},
};

/// Endings of the files that are read from a directory.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Where the profiles are.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Config")]
pub struct ProfileArgs {
    /// Files or directories with runner profiles; without, the built-in profile is used
    #[arg(
        long,
        env = "ARC_ROCM_PROFILES",
        num_args = 1..,
        value_delimiter = ',',
        value_name = "PATH"
    )]
    pub profiles: Vec<PathBuf>,
}

/// What the answers depend on.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Config")]
pub struct ConfigArgs {
    /// The profiles.
    #[command(flatten)]
    pub profiles: ProfileArgs,

    /// User who may create runner pods; `*` stands for any characters
    #[arg(
        long = "arc-controller-user",
        env = "ARC_ROCM_ARC_CONTROLLER_USER",
        value_delimiter = ',',
        default_value = DEFAULT_CONTROLLER_USER,
        value_name = "PATTERN"
    )]
    pub controller_users: Vec<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file or directory.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A directory or a file has no profiles any more.
    #[error("{path} has no profiles any more")]
    Emptied {
        /// The file or directory.
        path: String,
    },
    /// The profiles have problems.
    #[error("{}", lines(.0))]
    Profiles(Vec<Problem>),
    /// A pattern of `--arc-controller-user`.
    #[error("--arc-controller-user: {0}")]
    ControllerUser(#[from] crate::profile::PatternError),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl ProfileArgs {
    /// Reads the files: those of a directory by name, without those that begin with a dot, as
    /// kubelet's `..data` does in a mounted ConfigMap.
    pub fn read(&self) -> Result<Vec<File>, ConfigError> {
        let mut files = Vec::new();
        for path in &self.profiles {
            let error = |source| ConfigError::Read { path: path.display().to_string(), source };
            if path.is_dir() {
                let entries = fs::read_dir(path).map_err(error)?;
                let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>();
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

    /// The first path that gave files `before` and gives none `now`.
    pub(super) fn emptied(&self, before: &[File], now: &[File]) -> Option<&Path> {
        let gives = |files: &[File], path: &Path| {
            files.iter().any(|file| Path::new(&file.name).starts_with(path))
        };
        let mut paths = self.profiles.iter().map(PathBuf::as_path);
        paths.find(|path| gives(before, path) && !gives(now, path))
    }

    /// The compiled profiles.
    pub fn compile(&self) -> Result<ProfileSet, ConfigError> {
        ProfileSet::compile(&self.read()?).map_err(ConfigError::Profiles)
    }
}

fn is_profile_file(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let ending = path.extension().is_some_and(|ending| ENDINGS.iter().any(|e| ending == *e));
    !hidden && ending && path.is_file()
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let name = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => Ok(File { name, text }),
        Err(source) => Err(ConfigError::Read { path: name, source }),
    }
}

impl ConfigArgs {
    /// The configuration.
    pub fn config(&self) -> Result<Config, ConfigError> {
        self.compile(&self.profiles.read()?)
    }

    /// The configuration with the profiles of `files`.
    pub fn compile(&self, files: &[File]) -> Result<Config, ConfigError> {
        self.config_of(ProfileSet::compile(files).map_err(ConfigError::Profiles)?)
    }

    /// The configuration with these profiles.
    pub(super) fn config_of(&self, profiles: ProfileSet) -> Result<Config, ConfigError> {
        let users = ControllerUsers::parse(self.controller_users.iter().map(String::as_str))?;
        Ok(Config::new(profiles, users))
    }
}

/// An error of the configuration is the user's to mend. Problems are printed as they are, one a line, so
/// that editors can jump to them.
pub(super) fn blame(error: ConfigError) -> anyhow::Error {
    if let ConfigError::Profiles(problems) = &error {
        let mut told = std::io::stderr();
        for problem in problems {
            let _ = writeln!(told, "{problem}");
        }
        let count = problems.len();
        let plural = if count == 1 { "" } else { "s" };
        return Misconfigured::error(format!("{count} problem{plural} in profiles"));
    }
    let message = error.to_string();
    match error {
        ConfigError::Read { source, .. } => {
            anyhow::Error::new(source).context(Misconfigured(message))
        }
        _ => Misconfigured::error(message),
    }
}
