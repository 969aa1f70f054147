//! The template's containers as this pod is to have them: volumes by their names here, and for the
//! dind that is added what it shares with the runner (directories, proxy, CA) and its startup probe.

use std::borrow::Cow;

use super::{
    docker::Docker, env::variable, facts::Facts, security_context::root_fields, startup_probe,
    volume_mounts::at,
};
use crate::{
    podspec::{Json, paths::variables},
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

/// A container on its way: borrowed until it changes.
struct Container<'p>(Cow<'p, Json<'p>>);

/// The template's container as this pod is to have it.
pub(super) fn rewritten<'p>(facts: &Facts<'p>, wanted: &'p Json<'static>) -> Cow<'p, Json<'p>> {
    let mut container = Container(Cow::Borrowed(wanted));
    for (index, mount) in wanted.list("volumeMounts").iter().enumerate() {
        if let Some(name) = facts.volume_names.renamed(mount.text("name")) {
            let mounts = container.get_mut().list_mut("volumeMounts");
            if let Some(mount) = mounts.and_then(|mounts| mounts.get_mut(index)) {
                mount.set("name", name.to_owned().into());
            }
        }
    }
    if wanted.text("name") == DIND && matches!(facts.docker, Docker::Profile) {
        container.share_mounts(facts);
        container.share_proxy(facts);
        container.share_ca(facts);
        if let Some(probe) = startup_probe::of_dind(facts, &container.0) {
            container.get_mut().set(startup_probe::FIELD, probe);
        }
        for (field, value) in root_fields(facts, wanted) {
            let make = || Json::Object(Vec::new());
            if let Some(context) = container.get_mut().member_mut("securityContext", make) {
                context.set(field, value);
            }
        }
    }
    container.0
}

impl<'p> Container<'p> {
    fn get_mut(&mut self) -> &mut Json<'p> {
        if let Cow::Borrowed(shared) = self.0 {
            self.0 = Cow::Owned(shared.borrowed());
        }
        self.0.to_mut()
    }

    /// Paths that runner and dind share must be the same directory: `docker run -v PATH:PATH` is
    /// resolved by dockerd. Where the pod mounts something of its own, dind mounts it too.
    fn share_mounts(&mut self, facts: &Facts<'p>) {
        let Some(runner) = facts.wanted_runner() else { return };
        for index in 0..self.0.list("volumeMounts").len() {
            let Some(mount) = self.0.list("volumeMounts").get(index) else { continue };
            let path = mount.text("mountPath");
            let (Some(_), Some(there)) = (at(runner, path), at(facts.runner.container, path))
            else {
                continue;
            };
            let differs = ["name", "subPath", "subPathExpr"]
                .iter()
                .any(|field| there.text(field) != mount.text(field));
            let name = facts.volume_names.template_name(mount.text("name"));
            if differs && (name != Some(DATA_VOLUME) || facts.is_scratch_mount(there)) {
                self.copy_mount(facts, there, Some(index));
            }
        }
    }

    /// Copies a mount of the runner, over the mount at `index` or as a new one, with the variables
    /// that its `subPathExpr` uses.
    fn copy_mount(&mut self, facts: &Facts<'p>, there: &'p Json<'p>, index: Option<usize>) {
        if let Some(mounts) = self.get_mut().list_mut("volumeMounts") {
            match index.and_then(|index| mounts.get_mut(index)) {
                Some(place) => *place = there.borrowed(),
                None => mounts.push(there.borrowed()),
            }
        }
        for name in variables(there.text("subPathExpr")) {
            let templates = || variable(facts.wanted_runner()?, name);
            if let Some(variable) = variable(facts.runner.container, name).or_else(templates) {
                self.add_env(variable.borrowed());
            }
        }
    }

    fn share_proxy(&mut self, facts: &Facts<'p>) {
        for variable in PROXY.iter().filter_map(|name| variable(facts.runner.container, name)) {
            self.add_env(variable.borrowed());
        }
    }

    /// A custom CA that the chart mounts into the runner (`githubServerTLS`) is needed by dockerd
    /// as well, for a registry behind the same CA. `SSL_CERT_DIR` adds to the image's own bundle
    /// (Go, `crypto/x509/root_unix.go`).
    fn share_ca(&mut self, facts: &Facts<'p>) {
        let runner = facts.runner.container;
        let file = variable(runner, EXTRA_CA).map(|variable| variable.text("value"));
        let Some(file) = file.filter(|file| !file.is_empty()) else { return };
        let holds_file = |mount: &&Json<'_>| {
            let path = mount.text("mountPath").trim_end_matches('/');
            file == path || file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
        };
        let mount = runner.list("volumeMounts").iter().find(holds_file);
        let (Some(mount), Some((dir, _))) = (mount, file.rsplit_once('/')) else { return };
        if at(&self.0, mount.text("mountPath")).is_some() {
            return;
        }
        self.copy_mount(facts, mount, None);
        let value = Json::from(format!("/etc/ssl/certs:{dir}"));
        self.add_env(Json::Object(vec![
            ("name".into(), SSL_CERT_DIR.into()),
            ("value".into(), value),
        ]));
    }

    /// Adds a variable unless the container has one of that name.
    fn add_env(&mut self, new: Json<'p>) {
        if variable(&self.0, new.text("name")).is_none()
            && let Some(env) = self.get_mut().list_mut("env")
        {
            env.push(new);
        }
    }
}
