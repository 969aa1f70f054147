//! What arc-rocm does in a cluster, seen from the Kubernetes API alone.
//!
//! `KUBECONFIG=... cargo test -p arc-rocm-e2e`, with libtest's usual arguments (a filter,
//! `--list`, `--test-threads`). [`settings`] has the variables, [`case`] tells how a case is
//! written.
//!
//! What the suite asks of a cluster: an API server whose user of `KUBECONFIG` may do anything, and
//! ARC's own controller, if there is one, not watching the namespaces `e2e-*` (its chart's
//! `flags.watchSingleNamespace`): its part is played here. A node with a kubelet runs the webhook;
//! without one it is a process of this machine. Nodes that runners may use bear the label
//! `arc-rocm.dev/test-node`:
//!
//! - `real`: a kubelet, `amd.com/gpu` with a device node in `/dev/dri` for each, and the seed's
//!   images, of which the runner's `run.sh` runs the script in `ARC_ROCM_TEST_JOB` with bash and
//!   exits with its code, or waits for SIGTERM without one; `busybox` can be pulled in jobs;
//! - `kwok`: it only says that its pods run.
//!
//! Both have `pytorch: "yes"`. What is not there leaves its cases skipped.

#![expect(
    clippy::indexing_slicing,
    reason = "of JSON values alone: what is not there reads as null, and is made where it is written"
)]

mod arc;
mod capabilities;
mod case;
mod cases;
mod cert_manager;
mod cluster;
mod generated;
mod hook;
mod install;
mod metrics;
mod normal;
mod probe;
mod program;
mod replay;
mod report;
mod rights;
mod scene;
mod settings;
mod wait;

use std::{
    fs,
    process::ExitCode,
    sync::{Arc, RwLock},
};

use anyhow::Context as _;
use libtest_mimic::{Arguments, Conclusion};
use tokio::runtime::Runtime;

use crate::{
    capabilities::Capabilities,
    case::Case,
    cluster::Cluster,
    install::{Installation, Options},
    report::{Report, say},
    scene::World,
    settings::Settings,
};

/// How many cases run side by side: they wait more than they work.
const THREADS: usize = 6;

/// The profiles that are installed: `profiles/suite.yaml`.
const PROFILES: &str = include_str!("profiles/suite.yaml");

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    match suite(&arguments) {
        Ok(conclusion) => conclusion.exit_code(),
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn suite(arguments: &Arguments) -> anyhow::Result<Conclusion> {
    let runtime = Runtime::new()?;
    let gate = Arc::new(RwLock::new(()));
    let trials = |world: Option<&Arc<World>>| {
        cases::all().into_iter().map(|case| case.trial(world, runtime.handle(), &gate)).collect()
    };
    if arguments.list {
        return Ok(libtest_mimic::run(arguments, trials(None)));
    }
    let settings = Settings::read()?;
    let (world, made) = runtime.block_on(open(settings))?;
    let world = Arc::new(world);
    let conclusion = libtest_mimic::run(arguments, trials(Some(&world)));
    let world = Arc::into_inner(world).context("a case still holds the world")?;
    let report = world.report.markdown();
    say(&format!("\n{report}"));
    if let Some(path) = &world.settings.report {
        fs::write(path, &report).with_context(|| path.display().to_string())?;
    }
    runtime.block_on(close(world, &made))?;
    Ok(conclusion)
}

/// Connects, and installs what all cases need. Returns what has to be deleted at the end, too.
async fn open(settings: Settings) -> anyhow::Result<(World, Vec<String>)> {
    let cluster = Cluster::connect().await?;
    let capabilities = Capabilities::find(&cluster, &settings).await.context("the API server")?;
    scene::sweep(&cluster).await?;
    let made = arc::access::install(&cluster).await?;
    let excluded: Vec<String> = cases::all().iter().filter_map(Case::excluded).collect();
    let options = Options {
        values: vec![format!("webhook.excludedNamespaces={{{}}}", excluded.join(","))],
        profiles: vec![
            ("suite.yaml".to_owned(), PROFILES.to_owned()),
            ("generated.yaml".to_owned(), generated::profiles()?),
        ],
        ..Options::default()
    };
    let (form, host) = (capabilities.form, capabilities.host.as_deref());
    let installed = Installation::install(&cluster, &settings, form, host, options).await?;
    let report = Report::default();
    report.fact("Kubernetes", &capabilities.version);
    report.fact("webhook", &format!("{:?} form", capabilities.form));
    report.fact("GPUs on real nodes", &capabilities.real_gpus.to_string());
    report.fact("GPUs on kwok nodes", &capabilities.kwok_gpus.to_string());
    if let Err(error) = probe::called(&cluster).await {
        say(&installed.log(&cluster).await?);
        return Err(error);
    }
    let installation = tokio::sync::Mutex::new(installed);
    Ok((World { cluster, settings, capabilities, installation, report }, made))
}

async fn close(world: World, made: &[String]) -> anyhow::Result<()> {
    let World { cluster, installation, .. } = world;
    installation.into_inner().uninstall(&cluster).await.context("uninstall")?;
    scene::sweep(&cluster).await?;
    for path in made.iter().rev() {
        cluster.delete(path).await.with_context(|| path.clone())?;
    }
    Ok(())
}
