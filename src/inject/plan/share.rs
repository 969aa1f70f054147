//! What the dind container that we add takes over from the runner: directories, proxy, CA; and the
//! names that the template's volumes have in this pod.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::{Docker, Planner, docker::env, list, text};
use crate::{
    podspec::{
        Json,
        paths::{canonical, variables},
    },
    profile::template::{DATA_VOLUME, DIND, RUNNER, name_of},
};

/// ARC gives the runner the lower-case three when the scale set has `proxy` (arc.md: only the
/// runner); authors write either case, and dockerd reads both.
const PROXY: [&str; 6] =
    ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];
/// Set by ARC's chart when the scale set has `githubServerTLS`; the file is mounted in the runner.
const EXTRA_CA: &str = "NODE_EXTRA_CA_CERTS";
/// Where Go programs such as dockerd look for more certificates beside the system's bundle.
const SSL_CERT_DIR: &str = "SSL_CERT_DIR";
impl<'p> Planner<'p> {
    /// The template's container as it goes into this pod: volumes by their names here, and for
    /// dind what it must share with the runner.
    pub(super) fn adapted(&self, wanted: &'p Value) -> Cow<'p, Value> {
        let mut adapted = Cow::Borrowed(wanted);
        for field in ["volumeMounts", "volumeDevices"] {
            for (index, mount) in list(wanted, field).iter().enumerate() {
                let name = text(mount, "name");
                let actual = self.volume_names.actual(name);
                if actual != name
                    && let Some(place) =
                        adapted.to_mut().pointer_mut(&format!("/{field}/{index}/name"))
                {
                    *place = Value::String(actual.into_owned());
                }
            }
        }
        if name_of(wanted) == DIND && matches!(self.docker, Docker::Ours) {
            self.share_mounts(&mut adapted);
            self.share_proxy(&mut adapted);
            self.share_ca(&mut adapted);
            self.be_root(&mut adapted);
        }
        adapted
    }

    /// Paths that runner and dind share must be the same directory: `docker run -v PATH:PATH` is
    /// resolved by dockerd. Where the author mounts something of their own, dind mounts it too.
    fn share_mounts(&self, dind: &mut Cow<'_, Value>) {
        let Some(runner) = self.template.container(RUNNER) else { return };
        let shared = list(runner, "volumeMounts");
        let mounts = list(dind, "volumeMounts").len();
        for index in 0..mounts {
            let Some(mount) = list(dind, "volumeMounts").get(index) else { continue };
            let path = canonical(text(mount, "mountPath"));
            let is_shared = shared.iter().any(|other| canonical(text(other, "mountPath")) == path);
            let there = self
                .runner
                .list("volumeMounts")
                .iter()
                .find(|there| canonical(there.text("mountPath")) == path);
            let (true, Some(there)) = (is_shared, there) else { continue };
            let differs = ["name", "subPath", "subPathExpr"]
                .iter()
                .any(|field| there.text(field) != text(mount, field));
            // dockerd's data root is emptied at its end, so it never is a volume that outlives
            // the pod; nor can it be one that dockerd cannot write to.
            let is_data = self.volume_names.of(text(mount, "name")) == Some(DATA_VOLUME);
            if differs && (!is_data || self.is_scratch_mount(there)) {
                self.copy_mount(dind, there, Some(index));
            }
        }
    }

    /// Copies a mount of the runner into dind, over the mount at `index` or as a new one, with
    /// the variables that its `subPathExpr` uses.
    fn copy_mount(&self, dind: &mut Cow<'_, Value>, there: &Json<'_>, index: Option<usize>) {
        let mount = there.to_value();
        let Value::Object(members) = dind.to_mut() else { return };
        let mounts = members.entry("volumeMounts").or_insert_with(|| json!([]));
        let Value::Array(mounts) = mounts else { return };
        match index.and_then(|index| mounts.get_mut(index)) {
            Some(place) => *place = mount,
            None => mounts.push(mount),
        }
        for name in variables(there.text("subPathExpr")) {
            let own = env(self.runner, name).map(Json::to_value);
            let templates = self.template.container(RUNNER).and_then(|runner| {
                list(runner, "env").iter().find(|env| text(env, "name") == name).cloned()
            });
            if let Some(variable) = own.or(templates) {
                add_env(members, variable);
            }
        }
    }

    fn share_proxy(&self, dind: &mut Cow<'_, Value>) {
        for name in PROXY {
            if let Some(variable) = env(self.runner, name)
                && let Value::Object(members) = dind.to_mut()
            {
                add_env(members, variable.to_value());
            }
        }
    }

    /// A custom CA that the chart mounts into the runner (`githubServerTLS`) is needed by dockerd
    /// as well, for a registry behind the same CA. `SSL_CERT_DIR` adds to the image's own bundle
    /// (Go, `crypto/x509/root_unix.go`).
    fn share_ca(&self, dind: &mut Cow<'_, Value>) {
        let file = env(self.runner, EXTRA_CA).map(|variable| variable.text("value"));
        let Some(file) = file.filter(|file| !file.is_empty()) else { return };
        let mount = self.runner.list("volumeMounts").iter().find(|mount| {
            let path = mount.text("mountPath").trim_end_matches('/');
            file == path || file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
        });
        let (Some(mount), Some((dir, _))) = (mount, file.rsplit_once('/')) else { return };
        let path = canonical(mount.text("mountPath"));
        if list(dind, "volumeMounts").iter().any(|m| canonical(text(m, "mountPath")) == path) {
            return;
        }
        self.copy_mount(dind, mount, None);
        if let Value::Object(members) = dind.to_mut() {
            let value = format!("/etc/ssl/certs:{dir}");
            add_env(members, json!({"name": SSL_CERT_DIR, "value": value}));
        }
    }

    /// dockerd must be root, whatever user the pod's own security context names.
    fn be_root(&self, dind: &mut Cow<'_, Value>) {
        for (field, root) in self.root_fields(dind) {
            let Value::Object(members) = dind.to_mut() else { return };
            let context = members.entry("securityContext").or_insert_with(|| json!({}));
            if let Value::Object(context) = context {
                context.insert(field.to_owned(), root);
            }
        }
    }
}

/// Adds a variable unless the container has one of that name.
fn add_env(container: &mut Map<String, Value>, variable: Value) {
    let list = container.entry("env").or_insert_with(|| json!([]));
    if let Value::Array(list) = list
        && !list.iter().any(|other| name_of(other) == name_of(&variable))
    {
        list.push(variable);
    }
}
