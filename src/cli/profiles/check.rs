//! `arc-rocm profiles check`: every problem of profiles, by their text alone or, with `--server`, also
//! by what an API server says of their pods.

use std::path::PathBuf;

use kube::Client;
use serde_json::{Value, json};

use crate::{
    admission::{Decision, decide, of_pod, read},
    annotations,
    arc::{self, plain_runner_pod},
    cli::{
        UsageError,
        config::{self, ConfigError, ProfileArgs},
        connect::{ConnectArgs, block_on},
        inject::patched,
        output,
    },
    controller::dry_run::{DryRunError, PodProblem, create_pod},
    inject::{ARC_CONTROLLER, Config, ControllerUsers},
    profile::{Origin, Profile, ProfileSet},
};

/// The scale set of the pods that the API server is asked about.
const SCALE_SET: &str = "arc-rocm-check";

/// The flags of `profiles check`.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("cluster")
    .args(["kubeconfig", "context", "namespace"]).multiple(true).requires("server"))]
pub struct Args {
    /// Files or directories
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Let an API server check each profile's pod, by dry run
    #[arg(long)]
    pub server: bool,

    /// The cluster.
    #[command(flatten)]
    pub connect: ConnectArgs,

    /// Namespace of the pods; default: the context's
    #[arg(long, short, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
}

impl Args {
    /// Checks the profiles.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { paths, server, connect, namespace } = self;
        let profiles = ProfileArgs { profiles: paths, scripts_image: None };
        let files = profiles.read().map_err(config::usage_error)?;
        if let Some(path) = profiles.without_files(&files) {
            let path = path.display().to_string();
            return Err(config::usage_error(ConfigError::NoFile { path }));
        }
        let set = ProfileSet::compile(&files)
            .map_err(|problems| config::usage_error(ConfigError::Profiles(problems)))?;
        let own = set.iter().filter(|profile| profile.origin != Origin::BuiltIn).count();
        let mut line = format!("{}, no problems", output::count(own, "profile"));
        if server {
            let (namespace, problems) = block_on(async {
                let client = connect.client().await?;
                let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
                let problems = server_problems(&client, &namespace, set).await?;
                anyhow::Ok((namespace, problems))
            })?;
            if !problems.is_empty() {
                return Err(config::problems_error(&problems));
            }
            line = format!("{line}; namespace {namespace} accepts their pods");
        }
        output::write(|out| Ok(writeln!(out, "{line}")?))
    }
}

/// What the API server says of the plain runner pod of each profile, with the profile's own number of
/// GPUs and with one. The built-in profiles are not checked.
async fn server_problems(
    client: &Client,
    namespace: &str,
    set: ProfileSet,
) -> anyhow::Result<Vec<String>> {
    let config = Config::new(set, ControllerUsers::default());
    let mut lines = Vec::new();
    for profile in config.profiles.iter().filter(|profile| profile.origin != Origin::BuiltIn) {
        let mut known: Vec<PodProblem> = Vec::new();
        let mut numbers = vec![profile.default_gpus()];
        if profile.fixed_gpus.is_none() && numbers != [1] {
            numbers.push(1);
        }
        for gpus in numbers {
            let pod = profile_pod(profile, gpus, namespace, &config)?;
            let problems = create_pod(client, namespace, &pod).await.map_err(dry_run_error)?;
            for problem in problems {
                if !known.contains(&problem) {
                    let (name, gpus) = (&profile.name, output::count(gpus, "GPU"));
                    let PodProblem { field, message } = &problem;
                    let place = if field.is_empty() { "pod" } else { &named(&pod, field) };
                    let message = output::printable(message);
                    lines.push(format!("{}: {name}, {gpus}: {place}: {message}", profile.origin));
                    known.push(problem);
                }
            }
        }
    }
    Ok(lines)
}

fn dry_run_error(error: DryRunError) -> anyhow::Error {
    match error {
        DryRunError::Forbidden(_) | DryRunError::NoNamespace(_) => {
            UsageError::error(error.to_string())
        }
        _ => error.into(),
    }
}

/// The plain runner pod of a profile, as the webhook patches it. A label keeps the API server from
/// calling an installed webhook for it.
fn profile_pod(
    profile: &Profile,
    gpus: u32,
    namespace: &str,
    config: &Config,
) -> anyhow::Result<Value> {
    let release = arc::Release { name: SCALE_SET, namespace, version: arc::VERSION };
    let mut pod = plain_runner_pod(&release, None, None)
        .map_err(|problem| anyhow::anyhow!("{}", problem.message))?;
    if let Some(Value::Object(spec)) = pod.get_mut("spec") {
        // The chart's own service account is not in the cluster.
        spec.remove("serviceAccountName");
    }
    if let Some(Value::Object(annotations)) = pod.pointer_mut("/metadata/annotations") {
        annotations.insert(annotations::PROFILE.to_owned(), json!(profile.name));
        annotations.insert(annotations::GPUS.to_owned(), json!(gpus.to_string()));
    }
    let body = of_pod("check", &pod, namespace, ARC_CONTROLLER).to_string();
    let request = read(body.as_bytes())?;
    let mut pod = match decide(&request, config) {
        Decision::Planned { operations, .. } => patched(&pod, &operations)?,
        Decision::Skip(skip) => anyhow::bail!("{}", skip.sentence()),
    };
    if let Some(Value::Object(labels)) = pod.pointer_mut("/metadata/labels") {
        labels.insert(annotations::INJECT.to_owned(), json!("false"));
    }
    if let Some(Value::Object(metadata)) = pod.get_mut("metadata") {
        // The owner does not exist, and may need a permission.
        metadata.remove("ownerReferences");
    }
    Ok(pod)
}

/// A field of the API server, with the container's name in place of its index:
/// `spec.containers[0].image` as `spec.containers[runner].image`.
fn named(pod: &Value, field: &str) -> String {
    let parts = field.strip_prefix("spec.").and_then(|rest| {
        let (list, rest) = rest.split_once('[')?;
        let (index, rest) = rest.split_once(']')?;
        let name = pod.pointer(&format!("/spec/{list}/{index}/name"))?.as_str()?;
        Some(format!("spec.{list}[{name}]{rest}"))
    });
    parts.unwrap_or_else(|| field.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http_body_util::Full;
    use hyper::{
        body::Bytes,
        http::{Request, Response},
    };
    use kube::client::Body;

    use super::*;
    use crate::profile::File;

    const FLEET: &str = "apiVersion: arc-rocm.dev/v1alpha1
kind: RunnerProfile
metadata: {name: fleet}
spec:
  extends: rocm
  match: {scaleSets: [\"gpu-{gpus}\"]}
  gpu: {count: 4}
";

    /// An API server that refuses every pod with `causes`, and the pods that it was asked about.
    fn refusing(causes: Value) -> (Client, Arc<Mutex<Vec<Value>>>) {
        let pods = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&pods);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (seen, causes) = (Arc::clone(&seen), causes.clone());
            async move {
                let body = request.into_body().collect_bytes().await?;
                seen.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 422,
                    "reason": "Invalid", "message": "invalid", "details": {"causes": causes},
                });
                let body = Full::new(Bytes::from(status.to_string()));
                Ok::<_, kube::Error>(Response::builder().status(422).body(body).unwrap())
            }
        });
        (Client::new(service, "arc-runners"), pods)
    }

    #[tokio::test]
    async fn server_problem_has_origin_profile_and_container() {
        let (client, pods) = refusing(json!([
            {"reason": "FieldValueInvalid", "field": "spec.containers[0].image", "message": "Bad"},
            {"reason": "FieldValueInvalid", "field": "spec.priority", "message": "Bad, too"},
        ]));
        let file = File { name: "fleet.yaml".to_owned(), text: FLEET.to_owned() };
        let set = ProfileSet::compile(&[file]).unwrap();
        let problems = server_problems(&client, "arc-runners", set).await.unwrap();
        // The same problem with one GPU is not repeated.
        assert_eq!(
            problems,
            [
                "fleet.yaml:1: fleet, 4 GPUs: spec.containers[runner].image: Bad",
                "fleet.yaml:1: fleet, 4 GPUs: spec.priority: Bad, too",
            ]
        );
        let pods = pods.lock().unwrap();
        let gpus = |pod: &Value| {
            pod["spec"]["containers"][0]["resources"]["limits"]["amd.com/gpu"].clone()
        };
        assert_eq!(pods.iter().map(gpus).collect::<Vec<_>>(), ["4", "1"]);
        for pod in pods.iter() {
            assert_eq!(pod["spec"]["initContainers"][1]["name"], "dind");
            assert_eq!(pod["metadata"]["labels"][annotations::INJECT], "false");
            assert_eq!(pod["metadata"].get("ownerReferences"), None);
        }
    }
}
