//! A compiled profile.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::{Map, Value, json};

use super::{
    Origin, Pattern,
    expand::{WAIT_FOR_DOCKER_SECONDS, each, expand, is_started},
    layer,
    matcher::Matcher,
    normal,
    pattern::MAX_GPUS,
    spec::{self, Isolation, KubernetesMode, RunnerProfileSpec},
    template::{
        Amount, DIND, Fields, GPU_CLAIM, INIT_EXTERNALS, INIT_HOOKS, RUNNER, RunnerResource,
        SCRIPTS_VOLUME, Start, Template, gpu_claim_template, name_of,
    },
};
use crate::{
    podspec::{Json, Quantity, image::default_pull_policy, paths::overlap, resources::is_exact},
    scripts::{self, image::PATH},
};

/// Hexadecimal digits of a profile's digest: enough to tell two apart at a glance.
const DIGEST_DIGITS: usize = 12;

/// A profile that is ready to use. Everything is checked; nothing of this fails later.
#[derive(Clone)]
pub struct Profile {
    /// The profile's name.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The profiles that it builds on, nearest first.
    pub extends: Vec<String>,
    /// Of several that match, the highest wins.
    pub priority: i32,
    /// What runner pods of ARC's kubernetes modes get.
    pub kubernetes_mode: KubernetesMode,
    /// A digest of all that decides about a pod's patch.
    pub digest: String,
    /// Which pods it is for; none but those that name it, without.
    pub matcher: Option<Matcher>,
    /// The patterns with `{gpus}` that read the number from the scale set's name.
    pub number_patterns: Vec<Pattern>,
    /// The number of GPUs that the template itself says.
    pub fixed_gpus: Option<u32>,
    spec: Arc<RunnerProfileSpec>,
    /// The image that pods have the scripts from.
    scripts_image: Option<String>,
    template: Arc<Template>,
    /// The same for runners of ARC's kubernetes modes.
    kubernetes_template: Arc<Template>,
}

/// A profile as it was chosen for one pod.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'p> {
    /// The profile's name.
    pub name: &'p str,
    /// Its digest.
    pub digest: &'p str,
    /// What to lay under the pod.
    pub template: &'p Template,
    /// The number of GPUs.
    pub gpus: u32,
    /// The number of GPUs that the profile would give, where the scale set's own holds instead.
    pub gpus_overruled: Option<u32>,
}

impl Profile {
    pub(super) fn new(
        name: String,
        origin: Origin,
        extends: Vec<String>,
        matcher: Option<Matcher>,
        number_patterns: Vec<Pattern>,
        spec: RunnerProfileSpec,
    ) -> Self {
        let (template, fixed_gpus) = compile(&spec, None);
        Self {
            digest: digest(&spec, template.start.as_ref(), None),
            priority: spec.priority.unwrap_or_default(),
            kubernetes_mode: spec.kubernetes_mode.unwrap_or_default(),
            kubernetes_template: Arc::new(kubernetes(&template)),
            template: Arc::new(template),
            spec: Arc::new(spec),
            name,
            origin,
            extends,
            matcher,
            number_patterns,
            fixed_gpus,
            scripts_image: None,
        }
    }

    /// The same with the scripts from `image`, in pods that have room for its mount. A profile whose own
    /// template has none stays as it is.
    pub(super) fn with_scripts_image(mut self, image: &str) -> Self {
        let (mut template, _) = compile(&self.spec, Some(image));
        if is_served_by_image(&template) {
            template.inline = Some(self.template);
            self.digest = digest(&self.spec, template.start.as_ref(), Some(image));
            self.template = Arc::new(template);
            self.scripts_image = Some(image.to_owned());
        }
        self
    }

    /// The number of GPUs where nothing else gives it.
    pub fn default_gpus(&self) -> u32 {
        let count = self.spec.gpu.as_ref().and_then(|gpu| gpu.count);
        self.fixed_gpus.or(count).unwrap_or_default().min(MAX_GPUS)
    }

    /// The extended resource that GPUs are asked for by.
    pub fn gpu_resource(&self) -> &str {
        &self.template.gpu_resource
    }

    /// What a runner with `gpus` GPUs asks for, for people: an extended resource or a claim.
    pub fn gpu_source(&self, gpus: u32) -> String {
        let by_claim = self.template.gpu_claim_template.as_deref();
        match by_claim.and_then(|name| gpu_claim_template(name, gpus)) {
            Some(name) => format!("ResourceClaimTemplate {name}"),
            None => self.gpu_resource().to_owned(),
        }
    }

    /// The template; another for a runner of ARC's kubernetes modes.
    pub fn template(&self, kubernetes_mode: bool) -> &Template {
        if kubernetes_mode { &self.kubernetes_template } else { &self.template }
    }

    /// The PodTemplateSpec for `gpus` GPUs, for people to read.
    pub fn pod_template(&self, gpus: u32) -> Value {
        layered(&self.spec, gpus, self.scripts_image.as_deref())
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, origin, digest, .. } = self;
        write!(formatter, "Profile({name} from {origin}, {digest})")
    }
}

/// The whole template: short forms written out, the profile's own template over them.
pub(super) fn layered(spec: &RunnerProfileSpec, gpus: u32, scripts_image: Option<&str>) -> Value {
    let mut template = expand(spec, scripts_image);
    if let Some(over) = &spec.template {
        make_room(&mut template, over);
        layer::template(&mut template, over);
        set_pull_policy(&mut template, over);
    }
    let (resources, fixed_gpus) = runner_resources(spec);
    set_resources(&mut template, &resources, fixed_gpus.unwrap_or(gpus));
    if let Some(name) = spec.gpu_claim_template().and_then(|name| gpu_claim_template(name, gpus)) {
        set_claim(&mut template, &name);
    }
    normal::template(&mut template);
    template
}

/// Takes what the short forms put into `initContainers` out where `over` has a container of the
/// same name among the ordinary ones, such as an ordinary dind container.
fn make_room(template: &mut Value, over: &Value) {
    let Some(Value::Array(containers)) = over.pointer("/spec/containers") else { return };
    if let Some(Value::Array(short)) = template.pointer_mut("/spec/initContainers") {
        short.retain(|one| containers.iter().all(|other| name_of(other) != name_of(one)));
    }
}

/// A pull policy belongs to its image: with an image of `over`, the runner has the policy that the API
/// server fills in for that, and not the one that it filled in for the chart's image.
fn set_pull_policy(template: &mut Value, over: &Value) {
    let containers = over.pointer("/spec/containers").and_then(Value::as_array);
    let runner = containers.into_iter().flatten().find(|one| name_of(one) == RUNNER);
    let image = runner.filter(|one| one.get("imagePullPolicy").is_none_or(Value::is_null));
    let Some(image) = image.and_then(|one| one.get("image")?.as_str()) else { return };
    if let Some(runner) = runner_mut(template, false) {
        runner.insert("imagePullPolicy".into(), default_pull_policy(image).into());
    }
}

/// Writes the runner's requests and limits for `gpus` GPUs.
fn set_resources(template: &mut Value, resources: &[RunnerResource], gpus: u32) {
    let amounts = |of: fn(&RunnerResource) -> Option<&Amount>| {
        let amount = |one: &RunnerResource| Some((one.name.clone(), of(one)?.of(gpus)?));
        let amounts = resources.iter().filter_map(amount);
        amounts.map(|(name, amount)| (name, amount.to_string().into())).collect::<Map<_, _>>()
    };
    let requests = amounts(|one| one.request.as_ref());
    let limits = amounts(|one| one.limit.as_ref());
    let Some(runner) = runner_mut(template, !(requests.is_empty() && limits.is_empty())) else {
        return;
    };
    let all = runner.entry("resources").or_insert_with(|| json!({}));
    let Value::Object(all) = all else { return };
    for (field, amounts) in [("requests", requests), ("limits", limits)] {
        // What is no quantity stays, for the checks to see.
        let own = match all.remove(field) {
            Some(Value::Object(own)) => own,
            _ => Map::new(),
        };
        let bad = own.into_iter().filter(|(_, amount)| quantity(amount).is_none());
        let amounts: Map<String, Value> = bad.chain(amounts).collect();
        if !amounts.is_empty() {
            all.insert(field.to_owned(), amounts.into());
        }
    }
    if all.is_empty() {
        runner.remove("resources");
    }
}

/// Writes the claim for the runner's GPUs, by the ResourceClaimTemplate `name`.
fn set_claim(template: &mut Value, name: &str) {
    let add = |to: &mut Map<String, Value>, field: &str, claim: Value| {
        let claims = to.entry(field).or_insert_with(|| json!([]));
        claims.as_array_mut().map(|claims| claims.push(claim))
    };
    let runner = runner_mut(template, true);
    let resources = runner.map(|runner| runner.entry("resources").or_insert_with(|| json!({})));
    if let Some(resources) = resources.and_then(Value::as_object_mut) {
        add(resources, "claims", json!({"name": GPU_CLAIM}));
    }
    if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
        let claim = json!({"name": GPU_CLAIM, "resourceClaimTemplateName": name});
        add(spec, "resourceClaims", claim);
    }
}

/// The runner's container of a PodTemplateSpec; made, if `make` says so, where there is none.
fn runner_mut(template: &mut Value, make: bool) -> Option<&mut Map<String, Value>> {
    let is_runner = |one: &Value| name_of(one) == RUNNER;
    let containers = || template.pointer("/spec/containers").and_then(Value::as_array);
    let has_runner = containers().is_some_and(|all| all.iter().any(is_runner));
    let spec = template.get_mut("spec")?.as_object_mut()?;
    let containers = spec.get_mut("containers");
    if !has_runner {
        if !make {
            return None;
        }
        let runner = json!({"name": RUNNER});
        match containers.and_then(Value::as_array_mut) {
            Some(all) => all.insert(0, runner),
            None => {
                spec.insert("containers".to_owned(), json!([runner]));
            }
        }
    }
    let containers = spec.get_mut("containers")?.as_array_mut()?;
    containers.iter_mut().find(|one| is_runner(one))?.as_object_mut()
}

/// The runner's requests and limits, from `gpu`, then `runner.resources`, then the template; and
/// the number of GPUs, where one of the latter two says it.
fn runner_resources(spec: &RunnerProfileSpec) -> (Vec<RunnerResource>, Option<u32>) {
    let mut all: Vec<RunnerResource> = Vec::new();
    let resource = spec.gpu_resource();
    if let Some(gpu) = &spec.gpu {
        if spec.gpu_claim_template().is_none() {
            let one = "1".parse().ok().map(Amount::PerGpu);
            let name = resource.to_owned();
            all.push(RunnerResource { name, request: one.clone(), limit: one });
        }
        let total = gpu.total.as_ref().map(each).into_iter().flatten();
        let total = total.map(|(name, amount)| (name, quantity(amount).map(Amount::Fixed)));
        let per_gpu = gpu.per_gpu.as_ref().map(each).into_iter().flatten();
        let per_gpu = per_gpu.map(|(name, amount)| (name, quantity(amount).map(Amount::PerGpu)));
        for (name, mut request) in total.chain(per_gpu) {
            for (count, amounts) in gpu.by_count() {
                let own = each(amounts).find(|(other, _)| *other == name);
                if let (Some(others), Some(own)) = (&request, own.and_then(|(_, it)| quantity(it)))
                {
                    request = Some(Amount::ByCount(count, own, Box::new(others.clone())));
                }
            }
            let limit = request.clone().filter(|_| gpu.is_limit(name));
            all.retain(|one| one.name != name);
            all.push(RunnerResource { name: name.to_owned(), request, limit });
        }
    }
    let of_template = spec.template.as_ref().and_then(|template| {
        let containers = template.pointer("/spec/containers")?.as_array()?;
        containers.iter().find(|one| name_of(one) == RUNNER)?.get("resources")
    });
    let of_runner = spec.runner.as_ref().and_then(|runner| runner.resources.as_ref());
    for own in [of_runner, of_template].into_iter().flatten() {
        overlay(&mut all, own);
    }
    let mut fixed = None;
    for gpu in all.iter_mut().filter(|one| one.name == resource) {
        let Some(Amount::Fixed(limit)) = &gpu.limit else { continue };
        // A request that is another is reported by the checks.
        if matches!(&gpu.request, Some(Amount::Fixed(request)) if request != limit) {
            continue;
        }
        let whole = limit.whole().and_then(|gpus| u32::try_from(gpus).ok());
        let Some(gpus) = whole else { continue };
        fixed = Some(gpus);
        // The scale set may still ask for another number.
        let one = "1".parse().ok().map(Amount::PerGpu);
        gpu.request = one.clone().filter(|_| gpu.request.is_some());
        gpu.limit = one;
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    (all, fixed)
}

/// Lays requests and limits in Kubernetes' form over `all`. Of an extended resource, `own` may give
/// the limit alone, as Kubernetes' own examples do: a request that is there follows it. The same
/// the other way round.
fn overlay(all: &mut Vec<RunnerResource>, own: &Value) {
    let amounts = |field: &str| own.get(field).and_then(Value::as_object).into_iter().flatten();
    let given = |field: &str, name: &str| own.get(field).is_some_and(|own| own.get(name).is_some());
    for (field, is_request) in [("requests", true), ("limits", false)] {
        for (name, amount) in amounts(field) {
            let amount = quantity(amount).map(Amount::Fixed);
            let place = all.iter().position(|one| one.name == *name).unwrap_or_else(|| {
                all.push(RunnerResource { name: name.clone(), request: None, limit: None });
                all.len() - 1
            });
            let Some(one) = all.get_mut(place) else { continue };
            if is_request {
                if is_exact(name) && one.limit.is_some() && !given("limits", name) {
                    one.limit.clone_from(&amount);
                }
                one.request = amount;
            } else {
                if is_exact(name) && one.request.is_some() && !given("requests", name) {
                    one.request.clone_from(&amount);
                }
                one.limit = amount;
            }
        }
    }
    all.retain(|one| one.request.is_some() || one.limit.is_some());
}

/// A quantity as a profile writes it: text, or a number.
fn quantity(value: &Value) -> Option<Quantity> {
    normal::text_of(value)?.parse().ok()
}

/// The template, and the number of GPUs that it says itself.
fn compile(spec: &RunnerProfileSpec, scripts_image: Option<&str>) -> (Template, Option<u32>) {
    let mut whole = layered(spec, 0, scripts_image);
    let mut fields = |pointer: &str| -> Fields {
        let fields = match whole.pointer_mut(pointer).map(Value::take) {
            Some(Value::Object(members)) => members,
            _ => Map::new(),
        };
        fields.into_iter().map(|(name, value)| (name, value.into())).collect()
    };
    let (labels, annotations) = (fields("/metadata/labels"), fields("/metadata/annotations"));
    let mut pod = fields("/spec");
    let mut list = |name: &str| {
        let place = pod.iter().position(|(field, _)| field == name);
        match place.map(|place| pod.remove(place)) {
            Some((_, Json::Array(items))) => items,
            _ => Vec::new(),
        }
    };
    let (volumes, init_containers, mut containers) =
        (list("volumes"), list("initContainers"), list("containers"));
    let (resources, fixed_gpus) = runner_resources(spec);
    let runner = containers.iter_mut().find(|container| container.text("name") == RUNNER);
    if let Some(runner) = runner
        && let Some(mut own) = runner.take("resources")
        && let Some(claims) = own.take("claims")
    {
        runner.set("resources", Json::Object(vec![("claims".into(), claims)]));
    }
    let is_named = |one: &Json<'_>| one.text("name") == RUNNER;
    if !resources.is_empty() && !containers.iter().any(is_named) {
        containers.insert(0, Json::Object(vec![("name".into(), RUNNER.into())]));
    }
    let start = spec.start.as_ref().filter(|_| is_started(spec.start.as_ref()));
    let template = Template {
        labels,
        annotations,
        spec: pod,
        volumes,
        init_containers,
        containers,
        resources,
        gpu_resource: spec.gpu_resource().to_owned(),
        gpu_claim_template: spec.gpu_claim_template().map(str::to_owned),
        start: start.map(|start| wrapper(spec, start, scripts_image.is_some())),
        inline: None,
    };
    (template, fixed_gpus)
}

/// The start wrapper: its file, or the parts of its script that the profile uses.
fn wrapper(spec: &RunnerProfileSpec, start: &spec::Start, is_file: bool) -> Start {
    let group_add = start.group_add.as_ref().or(spec.groups.as_ref());
    let is_cpuset = start.cpuset == Some(true);
    let is_rocr = start.isolation.unwrap_or_default() == Isolation::RocrIndices;
    let wait_for_docker = start.wait_for_docker_seconds.unwrap_or(WAIT_FOR_DOCKER_SECONDS);
    let dind = spec.dind.as_ref().filter(|dind| dind.is_enabled());
    let docker_config = dind.is_some_and(|dind| dind.registry_credentials.is_some());
    let mut options: Vec<String> = match group_add {
        Some(gids) => gids.iter().map(|gid| format!("--group-add={gid}")).collect(),
        None => vec!["--group-add=nodes".to_owned()],
    };
    let switches = [("--cpuset", is_cpuset), ("--rocr", is_rocr)];
    options.extend(switches.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| (*name).to_owned()));
    let env = start.isolation_env.iter().flatten();
    options.extend(env.clone().map(|(name, value)| format!("--env={name}={value}")));
    let script = scripts::start(&[
        ("credentials", docker_config),
        ("cpuset", is_cpuset),
        ("docker", wait_for_docker > 0),
        ("env", env.count() > 0),
        ("groups", group_add.is_none()),
        ("rocr", is_rocr),
    ]);
    let command: &[&str] = if is_file {
        &["/bin/sh", scripts::image::START_FILE]
    } else {
        &["/bin/sh", "-c", &script, scripts::START_NAME]
    };
    let command = command.iter().map(|&word| Value::from(word).into()).collect();
    Start { command, options, wait_for_docker, docker_config }
}

/// Whether pods with this template, made for scripts from an image, can have them from there: the
/// profile's own template mounts nothing in their way, and has nothing that goes with their text alone.
fn is_served_by_image(template: &Template) -> bool {
    let Template { init_containers, containers, volumes, .. } = template;
    let has_volume = |name: &str| volumes.iter().any(|volume| volume.text("name") == name);
    let is_served = |mount: &Json<'_>| {
        let name = mount.text("name");
        has_volume(name) && (name == SCRIPTS_VOLUME || !overlap(mount.text("mountPath"), PATH))
    };
    let all = || init_containers.iter().chain(containers);
    has_volume(SCRIPTS_VOLUME)
        && all().all(|one| one.text("name") != INIT_HOOKS)
        && all().flat_map(|one| one.list("volumeMounts")).all(is_served)
}

/// The template for a runner of ARC's kubernetes modes: the pod's own fields and the runner's
/// resources.
fn kubernetes(template: &Template) -> Template {
    let mut runner = Json::Object(vec![("name".into(), RUNNER.into())]);
    let claims = template.container(RUNNER).and_then(|whole| whole.get("resources"));
    if let Some(claims) = claims {
        runner.set("resources", claims.clone());
    }
    Template {
        volumes: Vec::new(),
        init_containers: Vec::new(),
        containers: vec![runner],
        start: None,
        inline: None,
        ..template.clone()
    }
}

/// A digest over everything that goes into a pod, so that two pods with the same digest got the
/// same.
fn digest(spec: &RunnerProfileSpec, start: Option<&Start>, scripts_image: Option<&str>) -> String {
    let spec = RunnerProfileSpec { extends: None, matches: None, priority: None, ..spec.clone() };
    let mut hash = Context::new(&SHA256);
    // A spec is made of JSON values and strings, which always serialise.
    hash.update(&serde_json::to_vec(&spec).unwrap_or_default());
    for word in start.map(|start| &start.command).into_iter().flatten() {
        hash.update(word.as_str().unwrap_or_default().as_bytes());
    }
    for script in [
        scripts_image.unwrap_or_default(),
        &scripts::dind(true),
        scripts::WRITE_HOOKS,
        &scripts::JOB_STARTED,
        &scripts::JOB_COMPLETED,
        DIND,
        INIT_EXTERNALS,
    ] {
        hash.update(script.as_bytes());
    }
    let mut text = String::new();
    for byte in hash.finish().as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.truncate(DIGEST_DIGITS);
    text
}
