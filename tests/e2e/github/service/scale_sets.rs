//! Runner groups and scale sets.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Service, list};
use crate::{
    clock::Seconds,
    queue::Queue,
    refusal::Refusal,
    scale_set::{Description, ScaleSet},
};

impl Service {
    /// The runner group of a name, or all, as a list.
    pub(crate) fn runner_groups(&self, name: Option<&str>) -> Value {
        let is_wanted = |group: &str| {
            name.is_none_or(|name| name.is_empty() || name.eq_ignore_ascii_case(group))
        };
        let groups = (1_u64..).zip(&self.groups).filter(|(_, group)| is_wanted(group));
        list(groups.map(
            |(id, name)| json!({"id": id, "name": name, "size": 0, "isDefaultGroup": id == 1}),
        ))
    }

    /// A scale set with what it does not know itself: its group's name, its runners.
    pub(super) fn json(&self, set: &ScaleSet) -> Value {
        set.json(self.group(set.group).unwrap_or_default(), self.runners_of(set.id))
    }

    /// A tenant's scale set. Fails with 404.
    pub(crate) fn scale_set(&self, tenant: u64, id: u64) -> Result<&ScaleSet, Refusal> {
        let set = self.scale_sets.get(&id).filter(|set| set.tenant == tenant);
        set.ok_or_else(|| Refusal::no_scale_set(id))
    }

    /// The same, to change it.
    pub(super) fn scale_set_mut(&mut self, tenant: u64, id: u64) -> Result<&mut ScaleSet, Refusal> {
        let set = self.scale_sets.get_mut(&id).filter(|set| set.tenant == tenant);
        set.ok_or_else(|| Refusal::no_scale_set(id))
    }

    /// A tenant's scale sets, of one group and of one name where these are given.
    pub(crate) fn find_scale_sets(
        &self,
        tenant: u64,
        group: Option<u64>,
        name: Option<&str>,
    ) -> Value {
        let sets = self.scale_sets.values().filter(|set| {
            set.tenant == tenant
                && group.is_none_or(|group| group == set.group)
                && name.is_none_or(|name| name.eq_ignore_ascii_case(&set.name))
        });
        list(sets.map(|set| self.json(set)))
    }

    /// One scale set.
    pub(crate) fn show_scale_set(&self, tenant: u64, id: u64) -> Result<Value, Refusal> {
        Ok(self.json(self.scale_set(tenant, id)?))
    }

    /// Creates a scale set. Fails with 400 without a name or for an unknown group, with 409 where
    /// the group has one of this name.
    pub(crate) fn create_scale_set(
        &mut self,
        tenant: u64,
        description: Description,
        now: Seconds,
    ) -> Result<Value, Refusal> {
        let name = description.name.clone().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Refusal::malformed("a scale set has a name"))?;
        let group = description.runner_group_id.unwrap_or(1);
        self.check_place(tenant, None, &name, group)?;
        let scope = self.tenants.get(&tenant).cloned();
        let scope = scope.ok_or_else(|| Refusal::unauthorized("no such tenant"))?;
        let id = self.next_id();
        let mut set = ScaleSet {
            id,
            tenant,
            scope,
            name,
            group,
            labels: Vec::new(),
            setting: json!({}),
            created: now,
            session: None,
            capacity: None,
            jobs: BTreeMap::new(),
            queue: Queue::default(),
        };
        set.describe(description);
        let shown = self.json(&set);
        self.scale_sets.insert(id, set);
        Ok(shown)
    }

    /// Changes a scale set. Fails with 404, and as creating one does.
    pub(crate) fn update_scale_set(
        &mut self,
        tenant: u64,
        id: u64,
        description: Description,
    ) -> Result<Value, Refusal> {
        let set = self.scale_set(tenant, id)?;
        let name = description.name.clone().unwrap_or_else(|| set.name.clone());
        let group = description.runner_group_id.unwrap_or(set.group);
        self.check_place(tenant, Some(id), &name, group)?;
        self.scale_set_mut(tenant, id)?.describe(description);
        self.show_scale_set(tenant, id)
    }

    /// Whether a scale set of this name may be in this group.
    fn check_place(
        &self,
        tenant: u64,
        id: Option<u64>,
        name: &str,
        group: u64,
    ) -> Result<(), Refusal> {
        if self.group(group).is_none() {
            return Err(Refusal::malformed(format!("no runner group {group}")));
        }
        let taken = self.scale_sets.values().any(|set| {
            set.tenant == tenant
                && set.group == group
                && Some(set.id) != id
                && set.name.eq_ignore_ascii_case(name)
        });
        if taken {
            let message = format!("there is a runner scale set {name} in this group");
            return Err(Refusal::new(409, "RunnerScaleSetExistsException", message));
        }
        Ok(())
    }

    /// Deletes a scale set with its runners, jobs and session, if there is one. ARC takes only success:
    /// with a 404, after a restart of this service, an `AutoscalingRunnerSet` would keep its finalizer.
    pub(crate) fn delete_scale_set(&mut self, tenant: u64, id: u64) {
        if self.scale_set(tenant, id).is_ok() {
            self.scale_sets.remove(&id);
            self.runners.retain(|_, runner| runner.scale_set != id);
        }
    }
}
