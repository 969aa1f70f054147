//! Where a field of the whole template may come from: the short forms that write it.

use crate::profile::{
    report::Part,
    spec::RunnerProfileSpec,
    template::{DATA_ROOT, DATA_VOLUME, DIND, RUNNER},
};

/// The short forms that may have written the field at `path` of the template for `gpus` GPUs,
/// likeliest first.
pub(super) fn exact(path: &[Part], spec: &RunnerProfileSpec, gpus: u32) -> Vec<Vec<Part>> {
    let [_, _, _, Part::Key(list), item, rest @ ..] = path else { return Vec::new() };
    match (list.as_str(), item) {
        ("containers", Part::Item(_, name)) if name == RUNNER => {
            container("runner", rest, spec, gpus)
        }
        ("initContainers", Part::Item(_, name)) if name == DIND => {
            container("dind", rest, spec, gpus)
        }
        ("volumes", Part::Item(_, name)) => volume(name, rest),
        _ => Vec::new(),
    }
}

/// Where a problem at `path` of the template may be shown instead: the short forms that may have
/// written it, and where it is a request, its limit.
pub(super) fn short_forms(path: &[Part], spec: &RunnerProfileSpec, gpus: u32) -> Vec<Vec<Part>> {
    let [head @ .., Part::Key(resources), Part::Key(requests), name] = path else {
        return exact(path, spec, gpus);
    };
    let mut paths = exact(path, spec, gpus);
    // A request that was inherited is shown at the limit that it does not fit.
    if resources == "resources" && requests == "requests" {
        let limit = [Part::from("resources"), Part::from("limits"), name.clone()];
        let limit: Vec<Part> = head.iter().cloned().chain(limit).collect();
        let short = exact(&limit, spec, gpus).into_iter().take(1);
        paths.push(limit.clone());
        paths.extend(short);
    }
    paths
}

/// `spec`, `keys` and `rest`.
fn below(keys: &[&str], rest: &[Part]) -> Vec<Part> {
    let keys = keys.iter().copied().map(Part::from);
    std::iter::once(Part::from("spec")).chain(keys).chain(rest.iter().cloned()).collect()
}

fn container(form: &str, rest: &[Part], spec: &RunnerProfileSpec, gpus: u32) -> Vec<Vec<Part>> {
    let mut paths = vec![below(&[form], rest)];
    match rest {
        [Part::Key(field), Part::Item(_, path), rest @ ..] if field == "volumeMounts" => {
            let shared = Part::Item("mountPath", path.clone());
            let shared: Vec<Part> = std::iter::once(shared).chain(rest.iter().cloned()).collect();
            paths.push(below(&["sharedVolumes"], &shared));
            for volume in spec.shared_volumes.iter().flatten() {
                let mut also = vec![Part::Item("name", volume.name.clone()), Part::from("also")];
                also.extend(shared.iter().cloned());
                paths.push(below(&["sharedVolumes"], &also));
            }
            let data_root = spec.dind.as_ref().and_then(|dind| dind.data_root.as_ref());
            if data_root.is_some_and(|root| root.path.as_deref().unwrap_or(DATA_ROOT) == path) {
                let field = match rest {
                    [Part::Key(field)] if field == "subPathExpr" => "subPathExpr",
                    _ => "path",
                };
                paths.push(below(&["dind", "dataRoot", field], &[]));
            }
        }
        [Part::Key(field), Part::Key(map), Part::Key(resource), ..]
            if field == "resources" && form == "runner" =>
        {
            let is_limit = spec.gpu.as_ref().is_some_and(|gpu| gpu.is_limit(resource));
            if map == "requests" || is_limit {
                paths.push(below(&["gpu", "byCount", &gpus.to_string(), resource], &[]));
                paths.push(below(&["gpu", "perGpu", resource], &[]));
                paths.push(below(&["gpu", "total", resource], &[]));
            }
            if resource.contains('/') {
                paths.push(below(&["gpu", "resource"], &[]));
            }
        }
        _ => {}
    }
    paths
}

fn volume(name: &str, rest: &[Part]) -> Vec<Vec<Part>> {
    let shared = Part::Item("name", name.to_owned());
    let shared: Vec<Part> = std::iter::once(shared).chain(rest.iter().cloned()).collect();
    let mut paths = vec![below(&["sharedVolumes"], &shared)];
    if name == DATA_VOLUME {
        paths.push(below(&["dind", "dataRoot"], rest));
    }
    paths
}
