//! What the environment says about the cluster.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context as _, bail, ensure};

/// The variables that the suite reads, once, at its start.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `ARC_ROCM_BIN`: the program, used as a user uses it. Default: the workspace's debug build,
    /// which is brought up to date first.
    pub(crate) program: PathBuf,
    /// `ARC_ROCM_E2E_HOST`: the address under which API server and pods reach servers of this
    /// process. Without it, cases that need such a server are skipped.
    pub(crate) host: Option<String>,
    /// `ARC_ROCM_E2E_INSTALL`: how the webhook is installed, where it is not to be chosen by
    /// whether there is a node that can run it.
    pub(crate) form: Option<Form>,
    /// `ARC_ROCM_HELM`: the helm that renders and installs the chart; `helm` without.
    pub(crate) helm: PathBuf,
    /// `ARC_ROCM_KUBECTL`: kubectl, as words of a command line. Without it, cases that need one are
    /// skipped.
    pub(crate) kubectl: Option<Vec<String>>,
    /// `ARC_ROCM_CERT_MANAGER` and `ARC_ROCM_CERT_MANAGER_CRDS`: the cert-manager to run beside the
    /// cluster. Without both, cases that need one are skipped.
    pub(crate) cert_manager: Option<CertManager>,
    /// `ARC_ROCM_PEER`: the webhook that the figures are beside, as `deploy/tools/peer` builds it.
    pub(crate) peer: Option<PathBuf>,
    /// `ARC_ROCM_E2E_OLDER`: another build of the program, which `figures-peer` measures too.
    pub(crate) older: Option<PathBuf>,
    /// `ARC_ROCM_E2E_REQUIRE_ALL=1`: a case that the cluster cannot serve is a failure.
    pub(crate) require_all: bool,
    /// `ARC_ROCM_E2E_GENERATED`: how many generated pods are tried, where a case's usual number is not
    /// enough.
    pub(crate) generated: Option<usize>,
    /// `ARC_ROCM_E2E_REPORT`: where to write the table of cases and figures, as Markdown.
    pub(crate) report: Option<PathBuf>,
}

/// A cert-manager that is to run as a process of this machine.
#[derive(Clone, Debug)]
pub(crate) struct CertManager {
    /// The program, as `deploy/tools/cert-manager` builds it; it takes `KUBECONFIG`.
    pub(crate) program: PathBuf,
    /// The folder of its CRDs, one a file.
    pub(crate) crds: PathBuf,
}

impl CertManager {
    fn read() -> Option<Self> {
        let program = path("ARC_ROCM_CERT_MANAGER")?;
        Some(Self { program, crds: path("ARC_ROCM_CERT_MANAGER_CRDS")? })
    }
}

/// How the API server finds the webhook.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// `clientConfig.service`: the chart's Deployment.
    Service,
    /// `clientConfig.url`: a process of this machine, and the registration alone.
    Url,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// A value that means nothing, no `KUBECONFIG`, or no program.
    pub(crate) fn read() -> anyhow::Result<Self> {
        ensure!(
            env::var_os("KUBECONFIG").is_some(),
            "KUBECONFIG is not set: this suite needs a cluster, and guesses none"
        );
        let form = match env::var("ARC_ROCM_E2E_INSTALL").as_deref() {
            Err(_) | Ok("") => None,
            Ok("service") => Some(Form::Service),
            Ok("url") => Some(Form::Url),
            Ok(other) => bail!("ARC_ROCM_E2E_INSTALL={other}: it is service or url"),
        };
        Ok(Self {
            program: program()?,
            host: env::var("ARC_ROCM_E2E_HOST").ok().filter(|host| !host.is_empty()),
            form,
            helm: env::var_os("ARC_ROCM_HELM").unwrap_or_else(|| "helm".into()).into(),
            kubectl: env::var("ARC_ROCM_KUBECTL")
                .ok()
                .map(|words| words.split_whitespace().map(str::to_owned).collect()),
            cert_manager: CertManager::read(),
            peer: path("ARC_ROCM_PEER"),
            older: path("ARC_ROCM_E2E_OLDER"),
            require_all: env::var("ARC_ROCM_E2E_REQUIRE_ALL").is_ok_and(|value| value == "1"),
            generated: match env::var("ARC_ROCM_E2E_GENERATED") {
                Ok(number) => Some(number.parse().context("ARC_ROCM_E2E_GENERATED")?),
                Err(_) => None,
            },
            report: path("ARC_ROCM_E2E_REPORT"),
        })
    }
}

fn path(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from)
}

/// The program under test.
fn program() -> anyhow::Result<PathBuf> {
    if let Some(path) = env::var_os("ARC_ROCM_BIN") {
        let path = PathBuf::from(path);
        ensure!(path.is_file(), "ARC_ROCM_BIN={}: no such file", path.display());
        return Ok(path);
    }
    // Cargo builds the programs of this package alone; a stale one would test yesterday's code.
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--package", "arc-rocm", "--bin", "arc-rocm"])
        .current_dir(root())
        .status()
        .context("cargo build")?;
    ensure!(built.success(), "cargo build: {built}");
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("debug").join("arc-rocm"))
}

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", ".."].iter().collect()
}
