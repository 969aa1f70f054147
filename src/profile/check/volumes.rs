//! Volumes.

use super::{Checker, Field, names, not_a_name};
use crate::podspec::Quantity;

/// As long as a label, less the prefix that a volume gets whose name the pod has taken.
const MAX_NAME: usize = 54;
const NAME: &str = "at most 54 lower-case letters, digits and '-', with a letter or digit at both \
                    ends";
/// Prefixes of volumes that others name: ours, and those of the service account admission plugin.
const TAKEN: [&str; 2] = ["arc-rocm-", "kube-api-access-"];

impl Checker<'_> {
    pub(super) fn volumes(&mut self, pod: &Field<'_>) {
        for volume in pod.keyed("volumes", "name") {
            let name = volume.name();
            if name.len() > MAX_NAME || !names::is_label(name) {
                self.add(volume.path_to("name"), not_a_name(name, NAME));
            } else if let Some(prefix) = TAKEN.iter().find(|prefix| name.starts_with(**prefix)) {
                let message = format!("names that start with {prefix} are taken; choose another");
                self.add(volume.path_to("name"), message);
            }
            self.source(&volume);
        }
    }

    fn source(&mut self, volume: &Field<'_>) {
        let sources: Vec<_> =
            volume.members().into_iter().filter(|(key, _)| *key != "name").collect();
        match sources.as_slice() {
            [_] => {}
            [] => self.add(volume.path.clone(), "needs a source, such as emptyDir: {}"),
            more => {
                let keys: Vec<&str> = more.iter().map(|(key, _)| *key).collect();
                let message = format!("write only one of {}", keys.join(", "));
                self.add(volume.path.clone(), message);
            }
        }
        for (key, source) in &sources {
            match *key {
                "emptyDir" => self.empty_dir(source),
                "hostPath" => self.host_path(source),
                "secret" => {
                    self.required_subdomain(source, "secretName");
                    self.files(source);
                }
                "configMap" => {
                    self.required_subdomain(source, "name");
                    self.files(source);
                }
                "projected" => self.projected(source),
                "persistentVolumeClaim" => self.required_subdomain(source, "claimName"),
                "ephemeral" => self.ephemeral(source),
                "csi" => {
                    self.required_subdomain(source, "driver");
                    if let Some(secret) = source.get("nodePublishSecretRef") {
                        self.required_subdomain(&secret, "name");
                    }
                }
                "nfs" => {
                    self.required(source, "server");
                    self.absolute_path(source, "path");
                }
                _ => {}
            }
        }
    }

    fn empty_dir(&mut self, source: &Field<'_>) {
        let medium = source.text("medium").unwrap_or_default();
        let is_huge = medium == "HugePages"
            || medium.strip_prefix("HugePages-").is_some_and(|size| {
                size.parse::<Quantity>().is_ok_and(|size| !size.is_zero() && !size.is_negative())
            });
        if !is_huge {
            self.one_of(source, "medium", &["", "Memory", "HugePages", "HugePages-SIZE"]);
        }
        self.storage(source, "sizeLimit");
    }

    fn host_path(&mut self, source: &Field<'_>) {
        self.absolute_path(source, "path");
        self.one_of(
            source,
            "type",
            &[
                "",
                "DirectoryOrCreate",
                "Directory",
                "FileOrCreate",
                "File",
                "Socket",
                "CharDevice",
                "BlockDevice",
            ],
        );
    }

    fn absolute_path(&mut self, field: &Field<'_>, key: &str) {
        let path = field.text(key).unwrap_or_default();
        if path.starts_with('/') {
            self.no_backsteps(field, key);
        } else {
            self.add(field.path_to(key), format!("{path:?} must be an absolute path"));
        }
    }

    /// Files of a Secret or ConfigMap.
    fn files(&mut self, source: &Field<'_>) {
        self.mode(source, "defaultMode");
        for item in source.list("items") {
            self.data_key(&item);
            self.file(&item);
        }
    }

    /// A file in a volume that consists of such.
    fn file(&mut self, item: &Field<'_>) {
        if item.text("path").is_none_or(str::is_empty) {
            self.add(item.path_to("path"), "must not be empty");
        }
        self.relative_path(item, "path");
        if item
            .text("path")
            .is_some_and(|path| path.starts_with("..") && path.split('/').all(|part| part != ".."))
        {
            self.add(item.path_to("path"), "must not start with '..'");
        }
        self.mode(item, "mode");
    }

    fn mode(&mut self, field: &Field<'_>, key: &str) {
        if let Some(mode) = field.number(key).filter(|mode| !(0..=0o777).contains(mode)) {
            let message = format!("0{mode:o} is no mode of a file: write 0000 to 0777");
            self.add(field.path_to(key), message);
        }
    }

    fn downward(&mut self, source: &Field<'_>) {
        for item in source.list("items") {
            self.file(&item);
            match item.get("fieldRef") {
                Some(field) => self.field_ref(&field, true),
                None => self.add(item.path, "needs a fieldRef"),
            }
        }
    }

    fn projected(&mut self, source: &Field<'_>) {
        self.mode(source, "defaultMode");
        for part in source.list("sources") {
            self.exactly_one(&part, &["secret", "configMap", "downwardAPI", "serviceAccountToken"]);
            for key in ["secret", "configMap"] {
                if let Some(source) = part.get(key) {
                    self.required_subdomain(&source, "name");
                    self.files(&source);
                }
            }
            if let Some(source) = part.get("downwardAPI") {
                self.downward(&source);
            }
            if let Some(token) = part.get("serviceAccountToken") {
                self.file(&token);
                // 10 minutes to 2^32 seconds (`validateProjectedVolumeSource`).
                self.range(&token, "expirationSeconds", 600, 1 << 32);
            }
        }
    }

    fn ephemeral(&mut self, source: &Field<'_>) {
        let Some(template) = source.get("volumeClaimTemplate") else {
            return self.add(source.path.clone(), "needs a volumeClaimTemplate");
        };
        let Some(spec) = template.get("spec") else { return };
        let modes = spec.texts("accessModes");
        let known = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];
        if modes.is_empty() {
            self.add(spec.path.clone(), "needs accessModes, such as [ReadWriteOnce]");
        } else if modes.contains(&"ReadWriteOncePod") && modes.len() > 1 {
            self.add(spec.path_to("accessModes"), "ReadWriteOncePod must be the only one");
        }
        for mode in modes.into_iter().filter(|mode| !known.contains(mode)) {
            let message = format!("{mode:?} is not one of {}", known.join(", "));
            self.add(spec.path_to("accessModes"), message);
        }
        if spec.text("storageClassName").is_some_and(|name| !name.is_empty()) {
            self.subdomain(&spec, "storageClassName");
        }
        let resources = spec.get("resources");
        let requests = resources.as_ref().and_then(|resources| resources.get("requests"));
        let storage = requests.as_ref().and_then(|requests| requests.text("storage"));
        match (storage.map(str::parse::<Quantity>), requests) {
            (Some(Ok(amount)), Some(requests)) if amount.is_zero() => {
                self.add(requests.path_to("storage"), "must be above 0");
            }
            (Some(_), Some(requests)) => self.storage(&requests, "storage"),
            _ => self.add(spec.path, "needs resources.requests.storage, such as 100Gi"),
        }
    }
}
