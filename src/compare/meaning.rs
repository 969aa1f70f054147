//! What a pod says, as a tree in which order and spelling do not count: items by their keys, amounts
//! by value, mount paths in one form. What the API server, its plugins and ARC fill in is left out, or
//! is a default, which counts as absent.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
};

use crate::podspec::{
    Json, Quantity,
    equal::{QUANTITIES, quantity},
    image::default_pull_policy,
    merge::{Merge, Owner, container_field, is_default as merges_as_default, pod_field},
    paths::{canonical, variables},
};

/// A value of a pod.
#[derive(Debug, PartialEq)]
pub(super) enum Node<'j> {
    /// A text, a number or a flag.
    Value(&'j Json<'j>),
    /// A text that the pod has in another form.
    Text(Cow<'j, str>),
    /// An amount.
    Quantity(Quantity),
    /// A list whose order counts, such as a command line.
    Line(Vec<&'j Json<'j>>),
    /// Fields of an object, or items of a list.
    Branch(Branch<'j>),
    /// A value that is the same as none.
    Default(Box<Self>),
}

/// Fields or items.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Branch<'j> {
    pub(super) members: BTreeMap<Key<'j>, Node<'j>>,
    /// Whether none of it is the same as all of its members missing. A probe is a whole.
    pub(super) is_open: bool,
}

/// What a member is found by.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Key<'j> {
    /// The name of a field, or a key of a map.
    Field(Cow<'j, str>),
    /// An item of a list, a requested resource.
    Item(Cow<'j, str>),
    /// An item that has no key but itself: its text.
    Itself(String),
}

impl Node<'_> {
    /// The value, also where it is a default.
    pub(super) fn plain(&self) -> &Self {
        match self {
            Self::Default(node) => node.plain(),
            node => node,
        }
    }
}

/// Objects of which none is the same as an empty one.
const OPEN: [&str; 17] = [
    "pod",
    "metadata",
    "labels",
    "annotations",
    "nodeSelector",
    "securityContext",
    "seccompProfile",
    "capabilities",
    "resources",
    "requests",
    "limits",
    "lifecycle",
    "affinity",
    "nodeAffinity",
    "podAffinity",
    "podAntiAffinity",
    "dnsConfig",
];
/// Maps in which every text has a meaning, the empty one too.
const MAPS: [&str; 4] = ["labels", "annotations", "nodeSelector", "matchLabels"];
/// The lists that hold containers.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];
/// Lists below affinities and volumes whose items have no keys, and no order.
const SETS: [&str; 8] = [
    "accessModes",
    "matchExpressions",
    "matchFields",
    "nodeSelectorTerms",
    "preferredDuringSchedulingIgnoredDuringExecution",
    "requiredDuringSchedulingIgnoredDuringExecution",
    "sources",
    "values",
];
/// Flags that are false where they are absent.
const FALSE: [&str; 11] = [
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "optional",
    "privileged",
    "readOnly",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "stdin",
    "stdinOnce",
    "tty",
];
/// Fields of `spec` that the scheduler and plugins of the API server compute: the Priority plugin from
/// the class, the RuntimeClass plugin from the runtime's. `serviceAccount` is the old name.
const COMPUTED: [&str; 5] =
    ["nodeName", "overhead", "preemptionPolicy", "priority", "serviceAccount"];
/// How labels and annotations begin that ARC's chart and controller write.
const OF_ARC: [&str; 5] = [
    "actions-ephemeral-runner",
    "actions.github.com/",
    "app.kubernetes.io/",
    "helm.sh/chart",
    "pod-template-hash",
];
/// Variables that ARC's controller adds (actions-runner-controller `resourcebuilder.go`).
const VARIABLES_OF_ARC: [&str; 3] = [
    "ACTIONS_RUNNER_INPUT_JITCONFIG",
    "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE",
    "GITHUB_ACTIONS_RUNNER_EXTRA_USER_AGENT",
];
/// How the volume begins that the ServiceAccount plugin adds and mounts.
const TOKEN: &str = "kube-api-access-";
/// Tolerations that the plugin `DefaultTolerationSeconds` adds, for 300 s.
const NODE_CONDITIONS: [&str; 2] =
    ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// What `pod` says. Its `spec` is `pod` below, because a claim has a `spec` too.
pub(super) fn of_pod<'j>(pod: &'j Json<'j>) -> Branch<'j> {
    let mut members = BTreeMap::new();
    for (field, owner, rule) in
        [("metadata", "metadata", Merge::Atomic), ("spec", "pod", Merge::Map(pod_field))]
    {
        if let Some(there) = pod.get(field) {
            members.insert(Key::Field(field.into()), node("", owner, rule, there));
        }
    }
    Branch { members, is_open: true }
}

/// Whether the member `key` of `parent` says nothing of its own: the pod's identity, what is computed,
/// what ARC writes.
fn is_left_out(parent: &str, key: &str) -> bool {
    match parent {
        "metadata" => !["labels", "annotations", "namespace"].contains(&key),
        "labels" | "annotations" => OF_ARC.iter().any(|start| key.starts_with(start)),
        "pod" => COMPUTED.contains(&key),
        _ => false,
    }
}

/// Whether ARC's controller or a plugin of the API server adds this item of a list.
fn is_added(list: &str, item: &Json<'_>) -> bool {
    match list {
        "env" => VARIABLES_OF_ARC.contains(&item.text("name")),
        "volumes" | "volumeMounts" => item.text("name").starts_with(TOKEN),
        "tolerations" => {
            NODE_CONDITIONS.contains(&item.text("key"))
                && item.text("operator") == "Exists"
                && item.text("effect") == "NoExecute"
                && item.get("tolerationSeconds").and_then(Json::as_i64) == Some(300)
        }
        _ => false,
    }
}

/// The node of the member `field` of `parent`.
fn node<'j>(parent: &str, field: &str, rule: Merge, json: &'j Json<'j>) -> Node<'j> {
    let is_amount = QUANTITIES.contains(&field) || ["requests", "limits"].contains(&parent);
    match json {
        Json::Object(_) => Node::Branch(fields(field, rule, json)),
        Json::Array(items) => list(field, rule, items),
        _ => match quantity(json).filter(|_| is_amount) {
            Some(quantity) => Node::Quantity(quantity),
            None => Node::Value(json),
        },
    }
}

/// The fields of an object that is the member `field` of another, or an item of the list `field`.
fn fields<'j>(field: &str, rule: Merge, object: &'j Json<'j>) -> Branch<'j> {
    let is_container = CONTAINERS.contains(&field);
    let mut members = BTreeMap::new();
    for (key, value) in object.members() {
        let rule = match rule {
            Merge::Map(rule) => rule(key),
            _ if is_container => container_field(key),
            _ => Merge::Atomic,
        };
        let is_absent = value.is_null() || is_left_out(field, key);
        let name = if ["requests", "limits"].contains(&field) {
            Key::Item(Cow::Borrowed(key))
        } else {
            Key::Field(Cow::Borrowed(key))
        };
        if !is_absent && !members.contains_key(&name) {
            let there = node(field, key, rule, value);
            let is_default = is_default(field, key, value, object);
            members.insert(name, if is_default { Node::Default(Box::new(there)) } else { there });
        }
    }
    let mut branch = Branch { members, is_open: OPEN.contains(&field) };
    match field {
        "resources" => branch.fill_in_requests(),
        _ if is_container => branch.join_args(),
        _ => {}
    }
    branch
}

impl<'j> Branch<'j> {
    pub(super) fn field(&self, name: &'static str) -> Option<&Node<'j>> {
        self.members.get(&Key::Field(Cow::Borrowed(name)))
    }

    pub(super) fn branch_mut(&mut self, name: &'static str) -> Option<&mut Self> {
        match self.members.get_mut(&Key::Field(Cow::Borrowed(name)))? {
            Node::Branch(branch) => Some(branch),
            _ => None,
        }
    }

    /// The items of a list that are objects, by their keys.
    pub(super) fn items_mut(&mut self) -> impl Iterator<Item = (&str, &mut Self)> {
        self.members.iter_mut().filter_map(|(key, node)| match (key, node) {
            (Key::Item(name), Node::Branch(item)) => Some((name.as_ref(), item)),
            _ => None,
        })
    }

    /// The API server makes a request of each limit that has none.
    fn fill_in_requests(&mut self) {
        let Some(Node::Branch(limits)) = self.field("limits") else { return };
        let amounts = limits.members.iter().filter_map(|(key, limit)| match limit {
            Node::Quantity(limit) => Some((key.clone(), limit.clone())),
            _ => None,
        });
        let amounts: Vec<_> = amounts.collect();
        let none = || Node::Branch(Self { is_open: true, ..Self::default() });
        let requests = self.members.entry(Key::Field("requests".into())).or_insert_with(none);
        if let Node::Default(_) = requests {
            *requests = none();
        }
        let Node::Branch(requests) = requests else { return };
        for (key, limit) in amounts {
            let default = || Node::Default(Box::new(Node::Quantity(limit)));
            requests.members.entry(key).or_insert_with(default);
        }
    }

    /// Command and args are one command line, however it is split.
    fn join_args(&mut self) {
        let [command, args] = ["command", "args"].map(|field| Key::Field(field.into()));
        let mut line = |key: &Key<'j>| match self.members.get_mut(key) {
            Some(Node::Line(words)) => Some(std::mem::take(words)),
            _ => None,
        };
        if let Some(mut words) = line(&command) {
            let more = line(&args);
            words.extend(more.iter().flatten());
            self.members.insert(command, Node::Line(words));
            if more.is_some() {
                self.members.remove(&args);
            }
        }
    }
}

/// How the items of a list are found: by keys, by all that they are, or by their order.
fn list_rule(field: &str, rule: Merge) -> Merge {
    match (field, rule) {
        // Of two sources that have one variable the later one counts.
        ("envFrom", _) => Merge::Atomic,
        ("volumes" | "claims", _) => Merge::Keyed(&["name"]),
        ("items", _) => Merge::Keyed(&["path"]),
        (field, _) if CONTAINERS.contains(&field) => Merge::Keyed(&["name"]),
        (field, _) if SETS.contains(&field) => Merge::Set,
        (_, rule) => rule,
    }
}

fn list<'j>(field: &str, rule: Merge, items: &'j [Json<'j>]) -> Node<'j> {
    let rule = list_rule(field, rule);
    let is_scalar = |item: &Json<'_>| !matches!(item, Json::Object(_) | Json::Array(_));
    if !matches!(rule, Merge::Keyed(_) | Merge::Set) && items.iter().all(is_scalar) {
        return Node::Line(items.iter().collect());
    }
    let mut branch = Branch { is_open: true, ..Branch::default() };
    let mut earlier = HashSet::new();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        let mut there = node(field, field, Merge::Atomic, item);
        if let (true, Node::Branch(variable)) = (field == "env", &mut there) {
            variable.add_references(item, &earlier);
            earlier.insert(item.text("name"));
        }
        if is_added(field, item) {
            continue;
        }
        let mut key = match rule {
            Merge::Keyed(keys) => {
                if let Node::Branch(there) = &mut there {
                    for key in keys {
                        there.members.remove(&Key::Field(Cow::Borrowed(key)));
                    }
                }
                item_key(item, keys)
            }
            Merge::Set => {
                if let Node::Branch(item) = &mut there {
                    item.members.retain(|_, value| !matches!(value, Node::Default(_)));
                }
                format!("{there:?}")
            }
            _ => index.to_string(),
        };
        // The second of one key gets a number: of two variables the last one counts.
        let count = counts.entry(key.clone()).or_default();
        *count += 1;
        if *count > 1 {
            key = format!("{key}#{count}");
        }
        let is_set = matches!(rule, Merge::Set);
        let key = if is_set { Key::Itself(key) } else { Key::Item(key.into()) };
        branch.members.insert(key, there);
    }
    Node::Branch(branch)
}

/// The text of an item's keys. A port's protocol has a default.
fn item_key(item: &Json<'_>, keys: &[&str]) -> String {
    let texts = keys.iter().filter_map(|&key| match item.get(key)? {
        Json::String(path) if key == "mountPath" => Some(match canonical(path) {
            // As most people write it.
            run if run == "/run" || run.starts_with("/run/") => format!("/var{run}"),
            path => path.to_owned(),
        }),
        Json::String(text) if key == "protocol" && text == "TCP" => None,
        Json::Number(number) => Some(number.to_string()),
        value => Some(value.as_str().map_or_else(|| format!("{value:?}"), str::to_owned)),
    });
    texts.collect::<Vec<_>>().join("/")
}

impl<'j> Branch<'j> {
    /// A variable's `$(NAME)` is replaced if NAME comes before it: the one order of variables that
    /// counts.
    fn add_references(&mut self, variable: &'j Json<'j>, earlier: &HashSet<&str>) {
        for name in variables(variable.text("value")) {
            let place = if earlier.contains(name) { "set before" } else { "not set before" };
            let key = Key::Field(format!("$({name})").into());
            self.members.insert(key, Node::Text(place.into()));
        }
    }
}

/// Whether the member `field` of `parent` is the same as none: a default of the API server
/// (`pkg/apis/core/v1/defaults.go`) or of the kubelet.
fn is_default(parent: &str, field: &str, value: &Json<'_>, object: &Json<'_>) -> bool {
    let is = |text: &str| value.as_str() == Some(text);
    let number = || value.as_i64();
    match (parent, field) {
        // Of a pod that names none, it is not known.
        ("metadata", "namespace") => true,
        ("volumes", "emptyDir") => value.members().is_empty(),
        // An empty source of a volume is one, and an empty selector selects all.
        ("volumes", _) | (_, "labelSelector" | "namespaceSelector") => false,
        (parent, _) if MAPS.contains(&parent) => false,
        ("env", "value")
        | ("hostPath", "type")
        | ("emptyDir", "medium")
        | (_, "subPath" | "subPathExpr") => is(""),
        ("ports", "protocol") => is("TCP"),
        ("tolerations", "operator") => is("Equal"),
        ("fieldRef", "apiVersion") => is("v1"),
        ("image", "pullPolicy") => is(default_pull_policy(object.text("reference"))),
        ("resourceFieldRef", "divisor") => {
            quantity(value).is_some_and(|divisor| matches!(divisor.whole(), Some(0 | 1)))
        }
        ("configMap" | "secret" | "downwardAPI" | "projected", "defaultMode") => {
            number() == Some(0o644)
        }
        ("serviceAccountToken", "expirationSeconds") => number() == Some(3600),
        ("spec", "volumeMode") => is("Filesystem"),
        ("httpGet", "scheme") => is("HTTP"),
        ("httpGet", "path") => is("/"),
        (_, "timeoutSeconds" | "successThreshold") => number() == Some(1),
        (_, "periodSeconds") => number() == Some(10),
        (_, "failureThreshold") => number() == Some(3),
        (_, "initialDelaySeconds") => number() == Some(0),
        (parent, "imagePullPolicy") if CONTAINERS.contains(&parent) => {
            is(default_pull_policy(object.text("image")))
        }
        (_, field) if FALSE.contains(&field) => value.as_bool() == Some(false),
        (parent, _) if CONTAINERS.contains(&parent) => {
            merges_as_default(Owner::Container, field, value)
        }
        ("pod", _) => merges_as_default(Owner::Pod, field, value),
        _ => merges_as_default(Owner::Other, field, value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::compare;
    use super::*;

    /// The paths of the differences of two specs.
    fn paths(a: &Value, b: &Value) -> Vec<String> {
        let [a, b] = [a, b].map(|spec| json!({"spec": spec}));
        let found = compare(&Json::of(&a), &Json::of(&b));
        found.into_iter().map(|difference| difference.path).collect()
    }

    fn runner(fields: &Value) -> Value {
        let mut runner = json!({"name": "runner", "image": "a:1"});
        runner.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"containers": [runner]})
    }

    #[test]
    fn defaults_are_the_same_as_nothing() {
        for (there, other) in [
            (json!({"imagePullPolicy": "IfNotPresent"}), json!({"imagePullPolicy": "Always"})),
            (json!({"terminationMessagePolicy": "File"}), json!({"terminationMessagePolicy": "x"})),
            (
                json!({"resources": {}, "securityContext": {}}),
                json!({"lifecycle": {"stopSignal": "x"}}),
            ),
            (json!({"ports": []}), json!({"ports": [{"containerPort": 1}]})),
            (json!({"stdin": false, "tty": null}), json!({"tty": true})),
        ] {
            assert_eq!(paths(&runner(&there), &runner(&json!({}))), [""; 0], "{there}");
            assert_eq!(paths(&runner(&there), &runner(&other)).len(), 1, "{other}");
        }
        let spec = json!({"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "priority": 0,
            "nodeName": "n", "hostNetwork": false, "tolerations": [
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
             "tolerationSeconds": 300}]});
        assert_eq!(paths(&spec, &json!({})), [""; 0]);
        let spec = json!({"tolerations": [{"key": "node.kubernetes.io/not-ready",
            "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]});
        assert_eq!(paths(&spec, &json!({})), ["spec.tolerations"]);
    }

    #[test]
    fn empty_values_that_mean_something_are_not_defaults() {
        let volume = |source: Value| {
            json!({"volumes": [{"name": "v", "ephemeral":
            {"volumeClaimTemplate": {"spec": source}}}]})
        };
        let path = "spec.volumes[v].ephemeral.volumeClaimTemplate.spec.storageClassName";
        assert_eq!(paths(&volume(json!({"storageClassName": ""})), &volume(json!({}))), [path]);
        let term = |selector: Value| {
            json!({"topologySpreadConstraints": [{"topologyKey": "k",
            "whenUnsatisfiable": "w", "labelSelector": selector}]})
        };
        assert_eq!(paths(&term(json!({})), &term(Value::Null)).len(), 1);
        assert_eq!(paths(&json!({"nodeSelector": {"a": ""}}), &json!({})), ["spec.nodeSelector.a"]);
        let automount = json!({"automountServiceAccountToken": false});
        assert_eq!(paths(&automount, &json!({})), ["spec.automountServiceAccountToken"]);
    }

    #[test]
    fn volume_without_source_is_an_empty_directory() {
        let empty = json!({"volumes": [{"name": "v", "emptyDir": {}}]});
        let host = json!({"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]});
        assert_eq!(paths(&empty, &json!({"volumes": [{"name": "v"}]})), [""; 0]);
        assert_eq!(paths(&empty, &host), ["spec.volumes[v].hostPath"]);
        assert_eq!(paths(&empty, &json!({})), ["spec.volumes[v]"]);
    }

    #[test]
    fn missing_request_is_the_limit() {
        let both = runner(&json!({"resources": {"limits": {"x/y": 2}, "requests": {"x/y": "2"}}}));
        let limit = runner(&json!({"resources": {"limits": {"x/y": "2"}}}));
        assert_eq!(paths(&both, &limit), [""; 0]);
        let less = runner(&json!({"resources": {"limits": {"x/y": 2}, "requests": {"x/y": "1"}}}));
        assert_eq!(paths(&less, &limit), ["spec.containers[runner].resources.requests[x/y]"]);
    }

    /// The kubelet expands `$(NAME)` by the variables before it (`pkg/kubelet/kubelet_pods.go`,
    /// `makeEnvironmentVariables`).
    #[test]
    fn variables_have_an_order_where_one_refers_to_another() {
        let env = |names: &[(&str, &str)]| {
            let env = names.iter().map(|(name, value)| json!({"name": name, "value": value}));
            runner(&json!({"env": env.collect::<Vec<_>>()}))
        };
        let (a, b, c) = (("A", "1"), ("B", "$(A)/x"), ("C", "3"));
        assert_eq!(paths(&env(&[a, b, c]), &env(&[c, a, b])), [""; 0]);
        assert_eq!(paths(&env(&[a, b]), &env(&[b, a])), ["spec.containers[runner].env[B].$(A)"]);
        assert_eq!(paths(&env(&[a, ("A", "2")]), &env(&[("A", "2"), a])).len(), 2);
    }

    #[test]
    fn init_containers_have_an_order() {
        let inits = |names: &[&str]| json!({"initContainers": names.iter().map(|n| json!({"name": n})).collect::<Vec<_>>()});
        assert_eq!(paths(&inits(&["a", "b"]), &inits(&["b", "a"])), ["spec.initContainers.order"]);
        assert_eq!(
            paths(&inits(&["a", "x", "b"]), &inits(&["a", "b"])),
            ["spec.initContainers[x]"]
        );
    }

    #[test]
    fn container_in_the_other_list_is_compared() {
        let dind = json!({"name": "dind", "image": "d:1"});
        let (a, b) = (json!({"containers": [dind]}), json!({"initContainers": [dind]}));
        assert_eq!(paths(&a, &b), ["spec.containers[dind].list"]);
        assert_eq!(paths(&b, &a), ["spec.containers[dind].list"]);
    }

    #[test]
    fn command_and_args_are_one_line() {
        let split = runner(&json!({"command": ["a"], "args": ["b", "c"]}));
        assert_eq!(paths(&split, &runner(&json!({"command": ["a", "b", "c"]}))), [""; 0]);
        let path = "spec.containers[runner].command";
        assert_eq!(paths(&split, &runner(&json!({"command": ["a"], "args": ["b"]}))), [path]);
        let args = runner(&json!({"args": ["a"]}));
        assert_eq!(
            paths(&args, &runner(&json!({"args": ["b"]}))),
            ["spec.containers[runner].args"]
        );
    }

    #[test]
    fn label_with_an_empty_text_is_there() {
        let pod = |labels: Value| json!({"metadata": {"labels": labels, "name": "x"}});
        let (one, none) = (pod(json!({"a": "", "pod-template-hash": "1"})), pod(json!({})));
        let found = compare(&Json::of(&one), &Json::of(&none));
        assert_eq!(
            found.into_iter().map(|one| one.path).collect::<Vec<_>>(),
            ["metadata.labels.a"]
        );
    }
}
