//! The template's containers as this pod is to have them: volumes by their names here, and for the
//! dind that is added what it shares with the runner (directories, proxy, CA) and its startup probe.

use std::collections::{BTreeSet, HashMap};

use super::{
    docker::{DOCKER_HOST, Docker},
    env::variable,
    facts::Facts,
    security_context::root_fields,
    startup_probe,
    volume_mounts::at,
};
use crate::{
    podspec::{
        Json,
        equal::{is_subset, set_has},
        paths::variables,
    },
    profile::template::{DATA_VOLUME, DIND},
};

/// ARC gives the runner the lower-case three when the scale set has `proxy`
/// (`ephemeralrunner_controller.go`: only the runner); people write either case, and dockerd reads
/// both.
const PROXY: [&str; 6] =
    ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];
/// Set by ARC's chart when the scale set has `githubServerTLS`; the file is mounted in the runner.
const EXTRA_CA: &str = "NODE_EXTRA_CA_CERTS";
/// Where Go programs such as dockerd look for more certificates beside the system's bundle.
const SSL_CERT_DIR: &str = "SSL_CERT_DIR";
/// The most entries of the runner's `envFrom`, and the most variables of one mount, that dind gets.
/// Real runners have a few; a second pass compares each with each.
const MAX_SHARED: usize = 64;

/// The template's container as this pod is to have it.
#[derive(Clone)]
pub(super) struct Rewritten<'p> {
    /// The container. Its texts are the template's.
    pub(super) container: Json<'p>,
    /// Mounts of the runner that dind cannot have.
    pub(super) unshared: Vec<Unshared<'p>>,
}

/// A mount of the runner whose `subPathExpr` would be another directory in dind.
#[derive(Clone)]
pub(super) struct Unshared<'p> {
    /// Its path.
    pub(super) path: &'p str,
    /// The variable that has another value in dind.
    pub(super) variable: &'p str,
}

/// The template's container as this pod is to have it.
pub(super) fn rewritten<'p>(facts: &Facts<'p>, wanted: &'p Json<'static>) -> Rewritten<'p> {
    let mut this = Rewritten { container: wanted.borrowed(), unshared: Vec::new() };
    for (index, mount) in wanted.list("volumeMounts").iter().enumerate() {
        if let Some(name) = facts.volume_names.renamed(mount.text("name")) {
            let mounts = this.container.list_mut("volumeMounts");
            if let Some(mount) = mounts.and_then(|mounts| mounts.get_mut(index)) {
                mount.set("name", name.to_owned().into());
            }
        }
    }
    if wanted.text("name") == DIND && matches!(facts.docker, Docker::Profile) {
        let runner = Runner::of(facts);
        this.share_mounts(facts, &runner);
        this.share_proxy(&runner);
        this.share_ca(facts, &runner);
        if let Some(probe) = startup_probe::of_dind(facts, &this.container) {
            this.container.set(startup_probe::FIELD, probe);
        }
        for (field, value) in root_fields(facts, wanted) {
            let make = || Json::Object(Vec::new());
            if let Some(context) = this.container.member_mut("securityContext", make) {
                context.set(field, value);
            }
        }
    }
    this
}

/// Whether a mount of the pod's runner would be the same directory in `dind`.
pub(super) fn is_shareable<'p>(facts: &Facts<'p>, mount: &'p Json<'p>, dind: &Json<'_>) -> bool {
    Runner::of(facts).variables_of(mount.text("subPathExpr"), dind).is_ok()
}

/// The runner as it is going to be: the pod's container, and the template's under it.
struct Runner<'p> {
    pod: &'p Json<'p>,
    template: Option<&'p Json<'p>>,
}

impl<'p> Runner<'p> {
    fn of(facts: &Facts<'p>) -> Self {
        Self { pod: facts.runner.container, template: facts.wanted_runner() }
    }

    fn variable(&self, name: &str) -> Option<&'p Json<'p>> {
        variable(self.pod, name).or_else(|| variable(self.template?, name))
    }

    /// The variables by which a `subPathExpr` gets its directory, in their order: each may refer to
    /// those before it. Those of `envFrom` come with it, and without any a variable is unknown in
    /// the runner too. An error is the one that would mean something else in `dind`.
    fn variables_of(
        &self,
        expression: &'p str,
        dind: &Json<'_>,
    ) -> Result<Vec<&'p Json<'p>>, &'p str> {
        let mut names: Vec<&str> = variables(expression).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let templates = self.template.map(|runner| runner.list("env")).unwrap_or_default();
        let keyed = |one: &'p Json<'p>| (one.text("name"), one);
        let pods = self.pod.list("env").iter().map(keyed);
        let mut env: Vec<_> = pods.collect();
        let mut places: HashMap<&str, usize> = HashMap::new();
        places.extend(env.iter().enumerate().map(|(place, (name, _))| (*name, place)));
        for (name, one) in templates.iter().map(keyed) {
            places.entry(name).or_insert_with(|| {
                env.push((name, one));
                env.len() - 1
            });
        }
        let mut needed = BTreeSet::new();
        while let Some(name) = names.pop() {
            let Some(place) = places.get(name) else { continue };
            let Some((_, one)) = env.get(*place) else { continue };
            let own = variable(dind, name);
            // Without a container's name it is about the container that has the variable.
            let is_of_container = one.at(&["valueFrom", "resourceFieldRef"]).is_some();
            if own.is_some_and(|own| !is_subset(one, own)) || is_of_container {
                return Err(name);
            }
            if needed.insert(*place) {
                names.extend(variables(one.text("value")));
            }
            if needed.len() > MAX_SHARED {
                return Err(name);
            }
        }
        Ok(needed.into_iter().filter_map(|place| env.get(place)).map(|(_, one)| *one).collect())
    }
}

impl<'p> Rewritten<'p> {
    /// Paths that runner and dind share must be the same directory: `docker run -v PATH:PATH` is
    /// resolved by dockerd. Where the pod mounts something of its own, dind mounts it too, or
    /// nothing, but for dockerd's own data.
    fn share_mounts(&mut self, facts: &Facts<'p>, runner: &Runner<'p>) {
        let Some(templates) = runner.template else { return };
        let mounts = self.container.list("volumeMounts").to_vec();
        let mut kept = Vec::with_capacity(mounts.len());
        for mount in mounts {
            let path = mount.text("mountPath");
            let (Some(_), Some(there)) = (at(templates, path), at(runner.pod, path)) else {
                kept.push(mount);
                continue;
            };
            let differs = ["name", "subPath", "subPathExpr"]
                .iter()
                .any(|field| there.text(field) != mount.text(field));
            let name = facts.volume_names.template_name(mount.text("name"));
            let is_data = name == Some(DATA_VOLUME);
            if !differs || is_data && !facts.is_scratch_mount(there) {
                kept.push(mount);
            } else if self.take_variables(there, runner) {
                kept.push(there.borrowed());
            } else if is_data {
                kept.push(mount);
            }
        }
        if self.container.list("volumeMounts") != kept
            && let Some(mounts) = self.container.list_mut("volumeMounts")
        {
            *mounts = kept;
        }
    }

    /// Whether dind can have a mount of the runner; adds the variables that its `subPathExpr` uses.
    fn take_variables(&mut self, mount: &'p Json<'p>, runner: &Runner<'p>) -> bool {
        match runner.variables_of(mount.text("subPathExpr"), &self.container) {
            Ok(needed) => {
                for one in needed {
                    self.add_env(one.borrowed());
                }
                true
            }
            Err(variable) => {
                self.unshared.push(Unshared { path: mount.text("mountPath"), variable });
                false
            }
        }
    }

    /// `envFrom` may bring proxies, and variables of a `subPathExpr`. It comes as a whole, because
    /// the names in it are not known here.
    fn share_proxy(&mut self, runner: &Runner<'p>) {
        for variable in PROXY.iter().filter_map(|name| runner.variable(name)) {
            self.add_env(variable.borrowed());
        }
        let pods = runner.pod.list("envFrom");
        let templates = runner.template.map(|runner| runner.list("envFrom")).unwrap_or_default();
        if pods.is_empty() && templates.is_empty() || pods.len() > MAX_SHARED {
            return;
        }
        if let Some(all) = self.container.list_mut("envFrom") {
            for source in pods.iter().chain(templates) {
                if !set_has(all, source) {
                    all.push(source.borrowed());
                }
            }
        }
        // One that comes with it may be another Docker's.
        if let Some(host) = runner.template.and_then(|runner| variable(runner, DOCKER_HOST)) {
            self.add_env(host.borrowed());
        }
    }

    /// A custom CA that the chart mounts into the runner (`githubServerTLS`) is needed by dockerd
    /// as well, for a registry behind the same CA. `SSL_CERT_DIR` adds to the image's own bundle
    /// (Go, `crypto/x509/root_unix.go`).
    fn share_ca(&mut self, facts: &Facts<'p>, runner: &Runner<'p>) {
        let file = runner.variable(EXTRA_CA).map(|variable| variable.text("value"));
        let Some(file) = file.filter(|file| !file.is_empty()) else { return };
        let holds_file = |mount: &&Json<'_>| {
            let path = mount.text("mountPath").trim_end_matches('/');
            file == path || file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
        };
        let find = |runner: &'p Json<'p>| runner.list("volumeMounts").iter().find(holds_file);
        let mount = find(runner.pod).or_else(|| find(runner.template?));
        let (Some(mount), Some((dir, _))) = (mount, file.rsplit_once('/')) else { return };
        if at(&self.container, mount.text("mountPath")).is_some()
            || !self.take_variables(mount, runner)
        {
            return;
        }
        let mut shared = mount.borrowed();
        if find(runner.pod).is_none()
            && let Some(name) = facts.volume_names.renamed(mount.text("name"))
        {
            shared.set("name", name.to_owned().into());
        }
        if let Some(mounts) = self.container.list_mut("volumeMounts") {
            mounts.push(shared);
        }
        let value = Json::from(format!("/etc/ssl/certs:{dir}"));
        self.add_env(Json::Object(vec![
            ("name".into(), SSL_CERT_DIR.into()),
            ("value".into(), value),
        ]));
    }

    /// Adds a variable unless the container has one of that name.
    fn add_env(&mut self, new: Json<'p>) {
        if variable(&self.container, new.text("name")).is_none()
            && let Some(env) = self.container.list_mut("env")
        {
            env.push(new);
        }
    }
}
