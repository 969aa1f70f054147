//! The short forms, as far as the template that they stand for does not show it.

use serde_json::Value;

use super::{MAX_ID, Part, not_a_name, registry, resources::is_extended};
use crate::{
    podspec::{Quantity, resources::is_other_gpu},
    profile::{
        expand::{each, is_started},
        normal::text_of,
        numbers::gpus,
        pattern::MAX_GPUS,
        report::Report,
        spec::{Dind, Gpu, Runner, RunnerProfileSpec, SharedVolume, Start},
        template::{
            DATA_VOLUME, EXTERNALS_VOLUME, GPU_CLAIM, HOOKS_VOLUME, PODINFO_VOLUME,
            REGISTRY_CREDENTIALS_VOLUME, SOCKET_VOLUME, WORK_VOLUME, name_of,
        },
    },
};

/// Volumes that short forms write, so that a shared one needs another name.
const OWN_VOLUMES: [&str; 7] = [
    HOOKS_VOLUME,
    WORK_VOLUME,
    SOCKET_VOLUME,
    EXTERNALS_VOLUME,
    DATA_VOLUME,
    PODINFO_VOLUME,
    REGISTRY_CREDENTIALS_VOLUME,
];
/// The variable that `start.isolation` is about.
const ROCR_VARIABLE: &str = "ROCR_VISIBLE_DEVICES";
/// A check of one text of a list.
type Check = fn(&str, &[Part], &mut Report<'_>);
/// Arguments of dockerd that the profile has fields for, or sets itself.
const TAKEN_ARGS: [(&[&str], &str); 7] = [
    (&["--host", "-H"], "is set: dockerd listens on the socket that the runner shares"),
    (&["--group", "-G"], "is set by dind.gid; write that"),
    (&["--data-root", "--graph"], "is set by dind.dataRoot.path; write that"),
    (&["--mtu"], "is set by dind.mtu; write that"),
    (&["--registry-mirror"], "is set by dind.registryMirrors; write that"),
    (&["--insecure-registry"], "is set by dind.insecureRegistries; write that"),
    (&["--pidfile", "-p"], "is left to dockerd, whose stale file the start script takes away"),
];

/// Checks the short forms.
pub(in crate::profile) fn short_forms(spec: &RunnerProfileSpec, report: &mut Report<'_>) {
    if let Some(gpu) = &spec.gpu {
        self::gpu(gpu, report);
    }
    gpu_claim(spec, report);
    ids(spec.groups.as_deref(), &["groups"], report);
    if let Some(Runner { image: None, image_pull_policy: Some(_), .. }) = spec.runner {
        needs_image("runner", report);
    }
    if let Some(dind) = spec.dind.as_ref().filter(|dind| dind.is_enabled()) {
        self::dind(dind, spec, report);
    }
    if is_started(spec.start.as_ref()) && is_other_gpu(spec.gpu_resource()) {
        let message = "the start wrapper finds AMD's GPUs alone; write start: {enabled: false}";
        report.add(&path(&["gpu", "resource"]), message);
    }
    if let Some(Start { group_add, isolation_env, .. }) = &spec.start {
        ids(group_add.as_deref(), &["start", "groupAdd"], report);
        for (name, value) in isolation_env.iter().flatten() {
            let path = path(&["start", "isolationEnv", name]);
            if name == ROCR_VARIABLE {
                report.add(&path, "is set by start.isolation; write that");
            } else if !is_variable(name) {
                report.add(&path, not_a_name(name, "letters, digits and '_', not a digit first"));
            } else if !value.chars().all(|c| matches!(c, ' '..='~') && !matches!(c, '$' | '\\')) {
                report.add(&path, "must be one line of ASCII without '$' and '\\'");
            }
        }
    }
    for shared in spec.shared_volumes.iter().flatten() {
        self::shared(shared, report);
    }
}

/// `spec` and `keys`.
fn path(keys: &[&str]) -> Vec<Part> {
    std::iter::once("spec").chain(keys.iter().copied()).map(Part::from).collect()
}

fn gpu(gpu: &Gpu, report: &mut Report<'_>) {
    let Gpu {
        resource,
        resource_claim_template_name: _,
        count: _,
        per_gpu,
        total,
        by_count,
        limits,
    } = gpu;
    if let Some(resource) = resource
        .as_ref()
        .filter(|resource| !is_extended(resource) || resource.contains("kubernetes.io/"))
    {
        let form = "a domain, '/' and a name, such as amd.com/gpu";
        report.add(&path(&["gpu", "resource"]), not_a_name(resource, form));
    }
    for (field, amounts, times) in [("perGpu", per_gpu, MAX_GPUS), ("total", total, 1)] {
        for (name, amount) in amounts.as_ref().map(each).into_iter().flatten() {
            let path = path(&["gpu", field, name]);
            // What is no quantity is reported where the template has it.
            let Some(Ok(amount)) = text_of(amount).map(|text| text.parse::<Quantity>()) else {
                continue;
            };
            if amount.is_zero() {
                report.add(&path, "must be above 0; remove takes an inherited amount away");
            } else if amount.checked_times(times).is_none() {
                let message = format!("{:?} is too large for {}", amount.as_str(), gpus(times));
                report.add(&path, message);
            }
        }
    }
    let has = |name: &str| {
        let mut amounts = [per_gpu, total].into_iter().flatten().flat_map(each);
        amounts.any(|(other, _)| other == name)
    };
    for (index, limit) in limits.iter().flatten().enumerate() {
        let mut path = path(&["gpu", "limits"]);
        path.push(Part::Index(index));
        if !has(limit.as_str()) {
            let message = format!("no amount of {} is in perGpu or total", limit.as_str());
            report.add(&path, message);
        }
    }
    for (count, amounts) in by_count.iter().flatten() {
        if !(1..=MAX_GPUS).any(|gpus| gpus.to_string() == *count) {
            let message = format!("{count:?} is not a number of GPUs from 1 to {MAX_GPUS}");
            report.add(&path(&["gpu", "byCount", count]), message);
        }
        for (name, amount) in each(amounts) {
            let path = path(&["gpu", "byCount", count, name]);
            if !has(name) {
                let message = format!(
                    "write {name} in gpu.perGpu or gpu.total too, for other numbers of GPUs"
                );
                report.add(&path, message);
            }
            match text_of(amount).map(|text| text.parse::<Quantity>()) {
                Some(Err(error)) => report.add(&path, error.to_string()),
                Some(Ok(amount)) if amount.is_zero() || amount.is_negative() => {
                    report.add(&path, "must be above 0");
                }
                _ => {}
            }
        }
    }
    let names = |amounts: &Option<_>| {
        amounts.as_ref().map(each).into_iter().flatten().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let per_gpu = names(per_gpu);
    for name in names(total).into_iter().filter(|name| per_gpu.contains(name)) {
        let message = format!("{name} is in gpu.perGpu as well; take one out");
        report.add(&path(&["gpu", "total", name]), message);
    }
}

/// Two claims of one name are one too many.
fn gpu_claim(spec: &RunnerProfileSpec, report: &mut Report<'_>) {
    let claims = spec.template.as_ref().and_then(|it| it.pointer("/spec/resourceClaims"));
    let mut claims = claims.and_then(Value::as_array).into_iter().flatten();
    if spec.gpu_claim_template().is_some() && claims.any(|claim| name_of(claim) == GPU_CLAIM) {
        let mut path = path(&["template", "spec", "resourceClaims"]);
        path.extend([Part::Item("name", GPU_CLAIM.to_owned()), Part::from("name")]);
        let message = format!(
            "{GPU_CLAIM:?} is the name of the claim of gpu.resourceClaimTemplateName; choose another"
        );
        report.add(&path, message);
    }
}

fn ids(list: Option<&[i64]>, keys: &[&str], report: &mut Report<'_>) {
    for (index, id) in list.unwrap_or_default().iter().enumerate() {
        let mut path = path(keys);
        path.push(Part::Index(index));
        if !(0..=MAX_ID).contains(id) {
            report.add(&path, format!("{id} is not between 0 and {MAX_ID}"));
        } else if list.unwrap_or_default().iter().take(index).any(|other| other == id) {
            report.add(&path, format!("{id} is in this list already; take one out"));
        }
    }
}

/// Whether a line of an env-file can begin with `name`.
fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn needs_image(form: &str, report: &mut Report<'_>) {
    let message = format!("write {form}.image too: a pull policy goes with its image");
    report.add(&path(&[form, "imagePullPolicy"]), message);
}

fn dind(dind: &Dind, spec: &RunnerProfileSpec, report: &mut Report<'_>) {
    if dind.image.is_none() && dind.image_pull_policy.is_some() {
        needs_image("dind", report);
    }
    for (field, list, check) in [
        ("registryMirrors", &dind.registry_mirrors, registry::mirror as Check),
        ("insecureRegistries", &dind.insecure_registries, registry::insecure),
        ("extraArgs", &dind.extra_args, argument),
    ] {
        for (index, text) in list.iter().flatten().enumerate() {
            let mut path = path(&["dind", field]);
            path.push(Part::Index(index));
            check(text, &path, report);
        }
    }
    if dind.registry_credentials.is_some() && !is_started(spec.start.as_ref()) {
        let message = "needs the start wrapper, which copies them for the docker CLI; write \
                       start: {enabled: true}";
        report.add(&path(&["dind", "registryCredentials"]), message);
    }
}

fn argument(argument: &str, path: &[Part], report: &mut Report<'_>) {
    let flag = argument.split_once('=').map_or(argument, |(flag, _)| flag);
    let is_flag = |name: &str| {
        // `-Hunix://` is `-H unix://`.
        flag == name
            || (!name.starts_with("--") && !flag.starts_with("--") && flag.starts_with(name))
    };
    let taken = TAKEN_ARGS.iter().find(|(names, _)| names.iter().any(|name| is_flag(name)));
    if let Some((_, why)) = taken {
        report.add(path, format!("{flag} {why}"));
    } else if !argument.starts_with('-') || argument.trim_matches('-').is_empty() {
        // Without the value, which may be a secret.
        report.add(path, "must be one argument: write --FLAG=VALUE");
    }
}

fn shared(shared: &SharedVolume, report: &mut Report<'_>) {
    let name = shared.name.as_str();
    if OWN_VOLUMES.contains(&name) {
        let mut path = path(&["sharedVolumes"]);
        path.extend([Part::Item("name", name.to_owned()), Part::from("name")]);
        let message =
            format!("{name:?} is the name of a volume that every runner has; choose another");
        report.add(&path, message);
    }
}
