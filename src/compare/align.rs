//! What has another place or name in each of two pods, and is the same: containers of the other list,
//! and volumes that both mount at one path.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
};

use super::meaning::{Branch, Key, Node};
use crate::{
    podspec::{Json, LISTS},
    profile::template::{
        DATA_VOLUME, EXTERNALS_VOLUME, PODINFO_VOLUME, SOCKET_VOLUME, WORK_VOLUME,
    },
};

/// Puts a container that is in another list of each pod at one place, and makes the order of the
/// init containers that both have a value: they start one after the other.
pub(super) fn containers(pods: [&Json<'_>; 2], trees: &mut [Branch<'_>; 2]) {
    let names = pods.map(|pod| {
        LISTS
            .map(|list| pod.get("spec").map_or(&[][..], |spec| spec.list(list)))
            .map(|list| list.iter().map(|container| container.text("name")).collect::<Vec<_>>())
    });
    let sets = names
        .each_ref()
        .map(|lists| lists.each_ref().map(|list| list.iter().copied().collect::<HashSet<&str>>()));
    let [[inits_a, others_a], [inits_b, others_b]] = &sets;
    let moved = inits_a.intersection(others_b).chain(inits_b.intersection(others_a));
    for name in moved {
        for spec in trees.iter_mut().filter_map(|tree| tree.branch_mut("spec")) {
            move_container(spec, name);
        }
    }
    let orders = names.map(|[inits, _]| {
        let is_common = |name: &&str| inits_a.contains(name) && inits_b.contains(name);
        inits.into_iter().filter(is_common).collect::<Vec<_>>().join(", ")
    });
    if orders[0] != orders[1] {
        for (tree, order) in trees.iter_mut().zip(orders) {
            let spec = tree.branch_mut("spec");
            if let Some(inits) = spec.and_then(|spec| spec.branch_mut("initContainers")) {
                inits.members.insert(Key::Field("order".into()), Node::Text(order.into()));
            }
        }
    }
}

/// Moves a container to `containers`, and makes the list that it was in a field of it.
fn move_container(spec: &mut Branch<'_>, name: &str) {
    let key = Key::Item(Cow::Owned(name.to_owned()));
    let found = LISTS.into_iter().find_map(|list| {
        let container = spec.branch_mut(list)?.members.remove(&key)?;
        Some((list, container))
    });
    let Some((list, mut container)) = found else { return };
    if let Node::Branch(container) = &mut container {
        container.members.insert(Key::Field("list".into()), Node::Text(list.into()));
    }
    let none = || Node::Branch(Branch { is_open: true, ..Branch::default() });
    let others = spec.members.entry(Key::Field("containers".into())).or_insert_with(none);
    if let Node::Branch(others) = others {
        others.members.insert(key, container);
    }
}

/// The volumes that the webhook adds.
const OWN: [&str; 5] = [DATA_VOLUME, EXTERNALS_VOLUME, PODINFO_VOLUME, SOCKET_VOLUME, WORK_VOLUME];

/// A container's list and name, and a path in it.
type Place = (&'static str, String, String);

/// Gives a volume one name that has another in each pod, where both mount it at one place. The name
/// that it has remains as a field of it.
pub(super) fn volumes(trees: &mut [Branch<'_>; 2]) {
    let mounts = trees.each_mut().map(|tree| {
        let mut found: BTreeMap<Place, String> = BTreeMap::new();
        each_mount(tree, |place, name| {
            if let Node::Value(value) = name {
                found.insert(place, value.as_str().unwrap_or_default().to_owned());
            }
        });
        found
    });
    let [has_a, has_b] = trees.each_mut().map(|tree| -> HashSet<String> {
        let volumes = tree.branch_mut("spec").and_then(|spec| spec.branch_mut("volumes"));
        let items = volumes.into_iter().flat_map(Branch::items_mut);
        items.map(|(name, _)| name.to_owned()).collect()
    });
    let [mounts_a, mounts_b] = &mounts;
    let (mut of_a, mut of_b): (HashMap<&str, &str>, HashMap<&str, &str>) = Default::default();
    for (place, a) in mounts_a {
        let Some(b) = mounts_b.get(place) else { continue };
        let is_only_name =
            has_a.contains(a) && !has_a.contains(b) && has_b.contains(b) && !has_b.contains(a);
        if is_only_name && !of_a.contains_key(a.as_str()) && !of_b.contains_key(b.as_str()) {
            // The webhook's own name is what rules know.
            let name = [a, b].into_iter().min_by_key(|name| (!OWN.contains(&name.as_str()), *name));
            let name = name.unwrap_or(a).as_str();
            of_a.insert(a, name);
            of_b.insert(b, name);
        }
    }
    for (tree, names) in trees.iter_mut().zip([of_a, of_b]) {
        each_mount(tree, |_, name| {
            let renamed = match name {
                Node::Value(value) => value.as_str().and_then(|name| names.get(name)),
                _ => None,
            };
            if let Some(renamed) = renamed {
                *name = Node::Text((*renamed).to_owned().into());
            }
        });
        let volumes = tree.branch_mut("spec").and_then(|spec| spec.branch_mut("volumes"));
        let Some(volumes) = volumes.filter(|_| !names.is_empty()) else { continue };
        for (from, to) in names {
            let [from, to] = [from, to].map(|name| Cow::<str>::Owned(name.to_owned()));
            if let Some(Node::Branch(mut volume)) = volumes.members.remove(&Key::Item(from.clone()))
            {
                volume.members.insert(Key::Field("name".into()), Node::Text(from));
                volumes.members.insert(Key::Item(to), Node::Branch(volume));
            }
        }
    }
}

/// Visits the volume's name of each mount.
fn each_mount<'j>(tree: &mut Branch<'j>, mut visit: impl FnMut(Place, &mut Node<'j>)) {
    let Some(spec) = tree.branch_mut("spec") else { return };
    for list in LISTS {
        let containers = spec.branch_mut(list).into_iter().flat_map(Branch::items_mut);
        for (container, fields) in containers {
            let mounts = fields.branch_mut("volumeMounts").into_iter().flat_map(Branch::items_mut);
            for (path, mount) in mounts {
                if let Some(name) = mount.members.get_mut(&Key::Field("name".into())) {
                    visit((list, container.to_owned(), path.to_owned()), name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Class, compare};
    use super::*;

    fn pod(volumes: &[&str], mounts: &[(&str, &str)]) -> Value {
        let volumes = volumes.iter().map(|name| json!({"name": name, "emptyDir": {}}));
        let mounts = mounts.iter().map(|(name, path)| json!({"name": name, "mountPath": path}));
        json!({"spec": {
            "containers": [{"name": "c", "volumeMounts": mounts.collect::<Vec<_>>()}],
            "volumes": volumes.collect::<Vec<_>>(),
        }})
    }

    fn differences(a: &Value, b: &Value) -> Vec<(String, Class)> {
        let found = compare(&Json::of(a), &Json::of(b));
        found.into_iter().map(|one| (one.path, one.class)).collect()
    }

    #[test]
    fn volume_with_another_name_has_no_effect() {
        let a = pod(&["work", "sock"], &[("work", "/w"), ("sock", "/run"), ("work", "/w2")]);
        let b =
            pod(&["docker", "work"], &[("docker", "/var/run"), ("work", "/w"), ("work", "/w2")]);
        let name = [("spec.volumes[docker].name".to_owned(), Class::NoEffect)];
        assert_eq!(differences(&a, &b), name);
        assert_eq!(differences(&b, &a), name);
        let mut other = b;
        other["spec"]["volumes"][0] = json!({"name": "docker", "hostPath": {"path": "/x"}});
        assert_eq!(
            differences(&a, &other)[0],
            ("spec.volumes[docker].hostPath".to_owned(), Class::Different)
        );
    }

    #[test]
    fn mount_of_another_volume_is_different() {
        let (x, y) = (("x", "/a"), ("y", "/b"));
        let a = pod(&["x", "y"], &[x, y]);
        let b = pod(&["x", "y"], &[("y", "/a"), ("x", "/b")]);
        let found = differences(&a, &b);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found
                .iter()
                .all(|(path, class)| path.ends_with("].name") && *class == Class::Different)
        );
        // One volume here is two there.
        let one = pod(&["z"], &[("z", "/a"), ("z", "/b")]);
        let found = differences(&a, &one);
        assert!(found.iter().any(|(_, class)| *class == Class::Different), "{found:?}");
        // A mount without its volume.
        let found = differences(&a, &pod(&["x"], &[x, ("v", "/b")]));
        assert_eq!(found.iter().filter(|(_, class)| *class == Class::Different).count(), 2);
    }
}
