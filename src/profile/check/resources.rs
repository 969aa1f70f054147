//! Requests and limits.

use super::{Checker, Field, not_a_name, origin};
use crate::{
    podspec::{
        Quantity, names,
        resources::{is_amd_gpu, is_exact},
    },
    profile::{expand::each, numbers::gpus},
};

/// Resources without a prefix that a container can ask for.
const NATIVE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
const HUGE_PAGES: &str = "hugepages-";

impl Checker<'_> {
    pub(super) fn resources(&mut self, container: &Field<'_>, pod: &Field<'_>, is_runner: bool) {
        let Some(resources) = container.get("resources") else { return };
        let list = |key| resources.get(key).iter().flat_map(Field::members).collect::<Vec<_>>();
        let (requests, limits) = (list("requests"), list("limits"));
        let mut has_huge_pages = false;
        for (name, amount) in requests.iter().chain(&limits) {
            has_huge_pages |= name.starts_with(HUGE_PAGES);
            self.resource_name(name, amount, is_runner);
            self.amount(name, amount);
        }
        for (name, request) in &requests {
            let limit = limits.iter().find(|(other, _)| other == name).map(|(_, limit)| limit);
            self.pair(name, request, limit);
        }
        let asks = |name: &str| requests.iter().chain(&limits).any(|(other, _)| *other == name);
        if has_huge_pages && !asks("cpu") && !asks("memory") {
            self.add(resources.path.clone(), "huge pages need cpu or memory beside them");
        }
        let claims = pod.keyed("resourceClaims", "name");
        for claim in resources.keyed("claims", "name") {
            let name = claim.name();
            let is_known = claims.iter().any(|other| other.name() == name);
            if !is_known && !self.report.may_have("resourceClaims") {
                let message = format!("no claim {name:?}; add it to template.spec.resourceClaims");
                self.add(claim.path_to("name"), message);
            }
        }
    }

    fn resource_name(&mut self, name: &str, amount: &Field<'_>, is_runner: bool) {
        let path = || amount.path.clone();
        let is_gpu = name == self.gpu_resource() || is_amd_gpu(name);
        if is_gpu && !is_runner {
            self.add(path(), "only the runner holds GPUs; jobs in dind use the runner's");
        } else if is_gpu && self.spec.gpu_claim_template().is_some() {
            let message =
                "GPUs come by gpu.resourceClaimTemplateName here; take one of the two out";
            self.add(path(), message);
        } else if name == self.gpu_resource() {
            // A name that is none is reported with gpu.resource.
        } else if let Some(size) = name.strip_prefix(HUGE_PAGES) {
            if size.parse::<Quantity>().ok().and_then(|size| size.whole()).unwrap_or_default() == 0
            {
                let message = format!("{size:?} is no size of a page: write hugepages-2Mi");
                self.add(path(), message);
            }
        } else if !name.contains('/') {
            if !NATIVE.contains(&name) {
                let message = format!(
                    "{name:?} is not a container's resource: write cpu, memory, \
                     ephemeral-storage, hugepages-SIZE or an extended resource such as \
                     amd.com/gpu"
                );
                self.add(path(), message);
            }
        } else if !is_extended(name) {
            self.add(path(), not_a_name(name, "a domain, '/' and a name, such as amd.com/gpu"));
        }
    }

    fn amount(&mut self, name: &str, amount: &Field<'_>) {
        let Some(text) = amount.value.as_str() else { return };
        let quantity: Quantity = match text.parse() {
            Ok(quantity) => quantity,
            Err(error) => return self.add(amount.path.clone(), error.to_string()),
        };
        if quantity.is_negative() {
            self.add(amount.path.clone(), format!("{text:?} must not be negative"));
        } else if name.contains('/') && is_exact(name) && !quantity.is_integer() {
            self.add(amount.path.clone(), format!("{text:?} must be a whole number"));
        } else if let Some(size) = name.strip_prefix(HUGE_PAGES) {
            let size = size.parse::<Quantity>().ok().and_then(|size| size.whole());
            let pages = size.zip(quantity.whole());
            if quantity.whole().is_none() || pages.is_some_and(|(s, q)| s != 0 && q % s != 0) {
                let message = format!("{text:?} is not a whole number of pages");
                self.add(amount.path.clone(), message);
            }
        }
    }

    fn pair(&mut self, name: &str, request: &Field<'_>, limit: Option<&Field<'_>>) {
        let quantity =
            |field: &Field<'_>| field.value.as_str().and_then(|text| text.parse::<Quantity>().ok());
        let Some(limit) = limit else {
            if is_exact(name) {
                let message = format!("{name} needs a limit too, the same");
                self.add(request.path.clone(), message);
            }
            return;
        };
        let (Some(low), Some(high)) = (quantity(request), quantity(limit)) else { return };
        let (low_text, high_text) = (low.as_str(), high.as_str());
        let message = if is_exact(name) && low != high {
            format!("the request {low_text:?} must be the same as the limit {high_text:?}")
        } else if low > high {
            format!("the request {low_text:?} is above the limit {high_text:?}")
        } else {
            return;
        };
        let from = self.inherited("request", request) + &self.inherited("limit", limit);
        self.add(request.path.clone(), message + &self.with_gpus(name) + &from);
    }

    /// Where an amount is inherited from, if it is.
    fn inherited(&self, what: &str, amount: &Field<'_>) -> String {
        let mut paths = origin::exact(&amount.path, self.spec, self.gpus);
        paths.push(amount.path.clone());
        match self.report.inherited_from(&paths) {
            Some(name) => format!("; the {what} is inherited from {name:?}"),
            None => String::new(),
        }
    }

    /// For which number of GPUs an amount of `name` is what it is.
    fn with_gpus(&self, name: &str) -> String {
        let gpu = self.spec.gpu.as_ref();
        let by_count = gpu.iter().flat_map(|gpu| gpu.by_count()).map(|(_, amounts)| amounts);
        let mut depending = gpu.and_then(|gpu| gpu.per_gpu.as_ref()).into_iter().chain(by_count);
        let depends = depending.any(|amounts| each(amounts).any(|(other, _)| other == name));
        let own = gpu.and_then(|gpu| gpu.count).or_else(|| self.spec.fixed_gpus());
        match gpus(self.gpus) {
            _ if !depends => String::new(),
            gpus if own == Some(self.gpus) => format!(", with {gpus}"),
            gpus => format!(", with {gpus}, as a scale set's name or annotation may ask for"),
        }
    }
}

/// Whether `name` is an extended resource, or one of Kubernetes' own with its prefix
/// (`pkg/apis/core/v1/helper`, `IsExtendedResourceName`).
pub(super) fn is_extended(name: &str) -> bool {
    name.contains('/')
        && names::is_qualified(name)
        && (name.contains("kubernetes.io/")
            || (!name.starts_with("requests.") && names::is_qualified(&format!("requests.{name}"))))
}
