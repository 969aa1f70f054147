//! Labels and annotations.

use super::{Checker, Field, not_a_name};
use crate::podspec::{RUNNER_LABEL, names};

/// The most bytes in all annotations of an object (apimachinery, `TotalAnnotationSizeLimitB`).
const MAX_ANNOTATION_BYTES: usize = 256 << 10;

/// Annotations below Kubernetes' own domains that nothing of Kubernetes' own validates.
const FREE: [&str; 3] = [
    "cluster-autoscaler.kubernetes.io/",
    "kubectl.kubernetes.io/default-",
    "descheduler.alpha.kubernetes.io/",
];

/// Whether an annotation is of those that Kubernetes gives a meaning: the API server refuses pods
/// for a bad value of many (`pkg/apis/core/validation`, `ValidatePodSpecificAnnotations`).
fn is_kubernetes_own(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else { return false };
    ["kubernetes.io", "k8s.io"].iter().any(|own| {
        domain.strip_suffix(own).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }) && !FREE.iter().any(|free| key.starts_with(free))
}

impl Checker<'_> {
    pub(super) fn metadata(&mut self, metadata: &Field<'_>) {
        for (key, field) in metadata.members() {
            match key {
                "labels" => {
                    for (key, label) in field.members() {
                        self.key(key, &label);
                        let value = label.value.as_str().unwrap_or_default();
                        if !names::is_label_value(value) {
                            self.add(label.path, not_a_name(value, names::LABEL_VALUE));
                        }
                    }
                }
                "annotations" => {
                    let mut bytes = 0;
                    for (key, annotation) in field.members() {
                        // The API server looks at annotations' keys in lower case.
                        let lower = key.to_ascii_lowercase();
                        if is_kubernetes_own(&lower) {
                            let message = format!(
                                "{key} is read by the API server or the kubelet; write it in the \
                                 scale set's own template"
                            );
                            self.add(annotation.path.clone(), message);
                        } else {
                            self.key(&lower, &annotation);
                        }
                        bytes += key.len() + annotation.value.as_str().map_or(0, str::len);
                    }
                    if bytes > MAX_ANNOTATION_BYTES {
                        let message = format!(
                            "annotations are {bytes} bytes; the API server takes at most \
                             {MAX_ANNOTATION_BYTES}"
                        );
                        self.add(field.path, message);
                    }
                }
                _ => {}
            }
        }
    }

    fn key(&mut self, key: &str, field: &Field<'_>) {
        let why = if key.starts_with("arc-rocm.dev/") {
            Some("is for scale sets and for arc-rocm itself, not for profiles")
        } else if key == RUNNER_LABEL || key.starts_with("actions.github.com/") {
            Some("belongs to ARC, which knows its pods by it")
        } else {
            None
        };
        if let Some(why) = why {
            self.add(field.path.clone(), format!("{key} {why}"));
        } else if !names::is_qualified(key) {
            self.add(field.path.clone(), not_a_name(key, names::QUALIFIED));
        }
    }
}
