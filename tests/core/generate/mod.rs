//! Generated pods, profiles and changes of other webhooks.
//!
//! A case is a base and a list of small changes, each a function with a seed of its own: proptest
//! shrinks a failure to the few changes that matter.
//!
//! The suite of `tests/e2e` includes this module too. It needs `support` (captured reviews) and
//! `validity` beside it.

pub(crate) mod api_server;
pub(crate) mod foreign;
pub(crate) mod pods;
pub(crate) mod profiles;
pub(crate) mod settings;

use std::fmt;

use proptest::prelude::*;
use serde_json::{Value, json};

/// The prefix of each env value of a generated pod. It must appear only in the patch.
pub(crate) const SECRET: &str = "secret-value-";

/// A random change.
pub(crate) type Change = fn(&mut Value, &mut Dice);

/// A change by name, with its seed.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    name: &'static str,
    change: Change,
    seed: u64,
}

impl fmt::Debug for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}({})", self.name, self.seed)
    }
}

/// Up to `most` changes of `table`.
pub(crate) fn steps(
    table: &'static [(&'static str, Change)],
    most: usize,
) -> impl Strategy<Value = Vec<Step>> {
    let step = (0..table.len(), any::<u64>()).prop_map(|(index, seed)| Step {
        name: table[index].0,
        change: table[index].1,
        seed,
    });
    prop::collection::vec(step, 0..=most)
}

/// Applies the changes.
pub(crate) fn apply(mut value: Value, steps: &[Step]) -> Value {
    for step in steps {
        (step.change)(&mut value, &mut Dice(step.seed));
    }
    value
}

/// Random numbers for one change (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// A value that must appear only in the patch.
    pub(crate) fn secret(&mut self) -> String {
        format!("{SECRET}{:x}", self.next())
    }

    /// A key that no type has.
    pub(crate) fn marker(&mut self) -> String {
        format!("future{:x}", self.next())
    }

    pub(crate) fn quantity(&mut self, resource: &str) -> Value {
        let choices: &[&str] = match resource {
            "cpu" => &["1", "500m", "4", "40", "64", "0", "1500m", "96"],
            "memory" => &["1Gi", "8Gi", "1024Mi", "512M", "450000Mi", "900Gi", "0"],
            "ephemeral-storage" => &["10Gi", "100G", "1Ti", "5G"],
            resource if resource.starts_with("hugepages-") => &["2Mi", "4Mi", "1Gi"],
            _ => &["1", "2", "8", "0", "4"],
        };
        self.pick(choices).into()
    }
}

/// The list member `field`, created if it is missing.
pub(crate) fn list<'v>(value: &'v mut Value, field: &str) -> &'v mut Vec<Value> {
    if !value.is_object() {
        *value = json!({});
    }
    let member = &mut value[field];
    if !member.is_array() {
        *member = json!([]);
    }
    member.as_array_mut().unwrap()
}

/// The object member `field`, created if it is missing.
pub(crate) fn object<'v>(value: &'v mut Value, field: &str) -> &'v mut Value {
    if !value.is_object() {
        *value = json!({});
    }
    let member = &mut value[field];
    if !member.is_object() {
        *member = json!({});
    }
    member
}

/// Some container of the pod.
pub(crate) fn some_container<'v>(pod: &'v mut Value, dice: &mut Dice) -> Option<&'v mut Value> {
    let spec = pod.get_mut("spec")?;
    let count = |list: &str| spec[list].as_array().map_or(0, Vec::len);
    let (inits, all) = (count("initContainers"), count("initContainers") + count("containers"));
    if all == 0 {
        return None;
    }
    let index = dice.below(all);
    if index < inits {
        spec["initContainers"].get_mut(index)
    } else {
        spec["containers"].get_mut(index - inits)
    }
}

/// The runner container.
pub(crate) fn runner(pod: &mut Value) -> &mut Value {
    let containers = list(&mut pod["spec"], "containers");
    let index = containers.iter().position(|container| container["name"] == "runner").unwrap();
    &mut containers[index]
}

/// Visits each object below `value`, itself included.
pub(crate) fn each_object(value: &mut Value, visit: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, visit)),
        Value::Object(_) => {
            visit(value);
            value.as_object_mut().unwrap().values_mut().for_each(|v| each_object(v, visit));
        }
        _ => {}
    }
}

/// A volume source with a random kind.
pub(crate) fn source(dice: &mut Dice) -> (&'static str, Value) {
    dice.pick(&[
        ("emptyDir", json!({})),
        ("emptyDir", json!({"sizeLimit": "1Gi"})),
        ("emptyDir", json!({"medium": "Memory"})),
        ("hostPath", json!({"path": "/data", "type": "DirectoryOrCreate"})),
        ("persistentVolumeClaim", json!({"claimName": "data"})),
        ("persistentVolumeClaim", json!({"claimName": "data", "readOnly": true})),
        ("configMap", json!({"name": "files", "defaultMode": 420})),
        ("secret", json!({"secretName": "files", "defaultMode": 420})),
        ("downwardAPI", json!({"items": [], "defaultMode": 420})),
        ("projected", json!({"sources": [], "defaultMode": 420})),
        ("nfs", json!({"server": "nfs.example.com", "path": "/"})),
        ("image", json!({"reference": "example.com/files:1"})),
    ])
}

pub(crate) fn volume(name: &str, dice: &mut Dice) -> Value {
    let (kind, source) = source(dice);
    json!({"name": name, kind: source})
}
