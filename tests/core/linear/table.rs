//! The time of one answer to pods with many items of one kind. Shared by the test `linear` and
//! `cargo bench --bench answer`.

use std::{
    fmt,
    time::{Duration, Instant},
};

use arc_rocm::{
    admission::{Outcome, answer},
    inject::Config,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};

/// Numbers of items.
pub(crate) const COUNTS: [usize; 3] = [1_000, 4_000, 16_000];

/// After this time no further run of a kind begins. One run shows that the time is not linear.
const PATIENCE: Duration = Duration::from_secs(5);

/// One line of the table.
pub(crate) struct Row {
    /// The kind of items.
    pub(crate) kind: &'static str,
    /// The shortest CPU time of one answer, for each of [`COUNTS`].
    pub(crate) times: [Duration; COUNTS.len()],
    /// Whether each pod got a patch, so that the whole answer was measured.
    pub(crate) patched: bool,
}

/// Puts items into a pod.
type Fill = fn(&mut Value, usize);

/// The kinds of items.
const KINDS: [(&str, Fill); 19] = [
    ("env", |pod, count| runner(pod, "env", items(count, |name| json!({"name": name})))),
    ("volumes and volumeMounts", |pod, count| {
        runner(
            pod,
            "volumeMounts",
            items(count, |name| json!({"name": name, "mountPath": format!("/{name}")})),
        );
        spec(pod, "volumes", items(count, |name| json!({"name": name, "emptyDir": {}})));
    }),
    ("volumes", |pod, count| {
        spec(pod, "volumes", items(count, |name| json!({"name": name, "emptyDir": {}})));
    }),
    ("containers", |pod, count| {
        spec(pod, "containers", items(count, |name| json!({"name": name, "image": "i"})));
    }),
    ("initContainers", |pod, count| {
        spec(pod, "initContainers", items(count, |name| json!({"name": name, "image": "i"})));
    }),
    // Each is a conflict and an operation.
    ("mounts without volumes", |pod, count| {
        runner(
            pod,
            "volumeMounts",
            items(count, |name| json!({"name": name, "mountPath": format!("/{name}")})),
        );
    }),
    ("extended resources", extended),
    // Each is a conflict and an operation.
    ("requests without limits", |pod, count| {
        extended(pod, count);
        let resources = &mut pod["spec"]["containers"][0]["resources"];
        *resources = json!({"requests": resources["requests"]});
    }),
    // Each is a kind of GPU to count.
    ("amd.com resources", |pod, count| {
        let amounts: Map<_, _> =
            (0..count).map(|number| (format!("amd.com/cpx_nps{number}"), json!("1"))).collect();
        let resources = json!({"limits": amounts.clone(), "requests": amounts});
        pod["spec"]["containers"][0]["resources"] = resources;
    }),
    ("resource claims", |pod, count| {
        let claim = |name| json!({"name": name, "resourceClaimTemplateName": "t"});
        spec(pod, "resourceClaims", items(count, claim));
        let used = items(count, |name| json!({"name": name}));
        append(&mut pod["spec"]["containers"][0]["resources"], "claims", used);
    }),
    ("LimitRanger note", |pod, count| {
        extended(pod, count);
        let names: Vec<_> = (0..count).map(resource).collect();
        let note =
            format!("LimitRanger plugin set: {} limit for container runner", names.join(", "));
        *entry(&mut pod["metadata"], "annotations", "kubernetes.io/limit-ranger") = note.into();
    }),
    ("annotations", |pod, count| named(&mut pod["metadata"], "annotations", count)),
    ("labels", |pod, count| named(&mut pod["metadata"], "labels", count)),
    ("nodeSelector", |pod, count| named(&mut pod["spec"], "nodeSelector", count)),
    ("managedFields", |pod, count| {
        let fields = items(count, |name| json!({"manager": name, "fieldsV1": {"f:spec": {}}}));
        append(&mut pod["metadata"], "managedFields", fields);
    }),
    ("tolerations", |pod, count| {
        spec(pod, "tolerations", items(count, |name| json!({"key": name, "operator": "Exists"})));
    }),
    ("ownerReferences", |pod, count| {
        let owners = items(count, |name| json!({"kind": "Pod", "name": name, "uid": name}));
        append(&mut pod["metadata"], "ownerReferences", owners);
    }),
    ("ports with hostNetwork", |pod, count| {
        let ports = (1..=count).map(|port| json!({"containerPort": port, "hostPort": port}));
        runner(pod, "ports", ports.collect());
        pod["spec"]["hostNetwork"] = true.into();
    }),
    ("imagePullSecrets", |pod, count| {
        spec(pod, "imagePullSecrets", items(count, |name| json!({"name": name})));
    }),
];

/// Measures all kinds with the review of a runner pod. Each time is the shortest of `runs` answers.
/// Counts take turns, so that a busy moment of the machine does not affect one of them alone.
/// Times are the thread's CPU times, because a long answer is preempted more often.
pub(crate) fn measure(review: &Value, runs: usize) -> impl Iterator<Item = Row> {
    let config = Config::default();
    KINDS.into_iter().map(move |(kind, fill)| {
        let bodies = COUNTS.map(|count| {
            let mut review = review.clone();
            fill(&mut review["request"]["object"], count);
            review.to_string()
        });
        let mut row = Row { kind, times: [Duration::MAX; COUNTS.len()], patched: true };
        let begin = Instant::now();
        for _ in (0..runs).take_while(|run| *run == 0 || begin.elapsed() < PATIENCE) {
            for (body, shortest) in bodies.iter().zip(&mut row.times) {
                let start = cpu_time();
                let answered = answer(body.as_bytes(), &config);
                *shortest = cpu_time().saturating_sub(start).min(*shortest);
                let outcome = answered.map(|answered| answered.record.outcome);
                row.patched &= matches!(outcome, Ok(Outcome::Patched));
            }
        }
        row
    })
}

impl Row {
    /// The time of the most items, divided by that of the fewest.
    pub(crate) fn ratio(&self) -> f64 {
        let [fewest, _, most] = self.times;
        most.as_secs_f64() / fewest.as_secs_f64()
    }

    /// The time of the most items, divided by that of the count before.
    pub(crate) fn last_ratio(&self) -> f64 {
        let [_, more, most] = self.times;
        most.as_secs_f64() / more.as_secs_f64()
    }
}

/// The head of the table.
pub(crate) fn head() -> String {
    let [few, more, most] = COUNTS;
    format!("{:<26}{few:>9} ms{more:>9} ms{most:>9} ms    ratio     last", "items")
}

/// One line for each row.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<26}", self.kind)?;
        for time in self.times {
            write!(f, "{:>12.3}", time.as_secs_f64() * 1e3)?;
        }
        write!(f, "{:>9.1}{:>9.1}", self.ratio(), self.last_ratio())
    }
}

/// The CPU time of this thread.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn items(count: usize, item: impl Fn(String) -> Value) -> Vec<Value> {
    (0..count).map(|number| item(format!("item-{number}"))).collect()
}

/// The name of an extended resource.
fn resource(number: usize) -> String {
    format!("gpu.io/x{number:05}")
}

fn extended(pod: &mut Value, count: usize) {
    let amounts: Map<_, _> = (0..count).map(|number| (resource(number), json!("1"))).collect();
    let resources = json!({"limits": amounts.clone(), "requests": amounts});
    pod["spec"]["containers"][0]["resources"] = resources;
}

fn runner(pod: &mut Value, list: &str, items: Vec<Value>) {
    append(&mut pod["spec"]["containers"][0], list, items);
}

fn spec(pod: &mut Value, list: &str, items: Vec<Value>) {
    append(&mut pod["spec"], list, items);
}

fn append(object: &mut Value, list: &str, items: Vec<Value>) {
    let list = &mut object[list];
    if list.is_null() {
        *list = json!([]);
    }
    if let Some(list) = list.as_array_mut() {
        list.extend(items);
    }
}

fn entry<'v>(object: &'v mut Value, map: &str, key: &str) -> &'v mut Value {
    &mut object[map][key]
}

fn named(object: &mut Value, map: &str, count: usize) {
    for number in 0..count {
        *entry(object, map, &format!("example.com/x{number}")) = "x".into();
    }
}
