use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::{
    cli::config::ProfileArgs,
    controller::profiles::ObjectWithStatus,
    inject::DEFAULT_CONTROLLER_USER,
    profile::{BUILTIN, status::RunnerProfileStatus},
    server::Limits,
    telemetry::Metrics,
};

/// Longer than any test takes: files are no matter here.
const PERIOD: Duration = Duration::from_mins(10);

fn object(name: &str, spec: Value) -> ObjectWithStatus {
    let object = Object { name: name.to_owned(), uid: format!("uid-{name}"), generation: 1, spec };
    ObjectWithStatus { object, status: RunnerProfileStatus::default(), version: None }
}

fn sources(watches_objects: bool) -> (ProfileSources, Config) {
    let profiles = ProfileArgs::default();
    let args = ConfigArgs { profiles, controller_users: vec![DEFAULT_CONTROLLER_USER.to_owned()] };
    ProfileSources::new(args, watches_objects).unwrap()
}

#[tokio::test]
async fn objects_are_counted_once_they_are_read() {
    let (sources, config) = sources(true);
    let service = Arc::new(Service::new(config, Metrics::default(), Limits::default()));
    let (snapshot, snapshots) = watch::channel(None);
    let (compiled, mut latest) = watch::channel(None);
    let channels = Channels { snapshots, compiled };
    tokio::spawn(sources.watch(PERIOD, Arc::clone(&service), Some(channels)));
    let count = |is_accepted: bool| {
        let text = service.metrics().encode().unwrap();
        let series = format!("arc_rocm_profile_objects{{accepted=\"{is_accepted}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)).map(str::to_owned)
    };
    assert_eq!((count(true), count(false)), (None, None));
    let good = object("good", json!({"extends": "rocm", "match": {"scaleSets": ["good"]}}));
    let bad = [object("bad", json!({"extends": "missing"})), object("worse", json!({"gpus": 1}))];
    let all = [std::slice::from_ref(&good), &bad].concat();
    for (objects, accepted, refused) in
        [(all, "1", "2"), (vec![good], "1", "0"), (vec![], "0", "0")]
    {
        snapshot.send_replace(Some(Arc::new(objects)));
        latest.changed().await.unwrap();
        assert_eq!(
            (count(true).as_deref(), count(false).as_deref()),
            (Some(accepted), Some(refused))
        );
    }
}

/// Otherwise a start beside objects would patch every runner for a moment.
#[test]
fn builtin_waits_for_the_objects() {
    let matches = |config: &Config| {
        config.profiles.get(BUILTIN).is_some_and(|profile| profile.matcher.is_some())
    };
    assert!(matches(&sources(false).1));
    let (sources, config) = sources(true);
    assert!(!matches(&config));
    let (_, reloaded) = sources.reload_objects(Some(Arc::default()));
    assert!(matches(&reloaded.unwrap().unwrap().config));
}

/// The names of the objects that get a line of the log.
fn logged(before: &mut BTreeMap<String, Acceptance>, objects: &[Object]) -> Vec<String> {
    let refused = resolve(&[], objects).unwrap().refused;
    let acceptance = |object: &Object| {
        let problems = refused.get(&object.name).cloned().unwrap_or_default();
        (object.uid.clone(), Acceptance { generation: object.generation, problems })
    };
    let now = objects.iter().map(acceptance).collect();
    let refusals = refusals(objects, before, &now);
    assert!(refusals.iter().all(|(_, problem)| !problem.is_empty()));
    *before = now;
    refusals.into_iter().map(|(profile, _)| profile).collect()
}

#[test]
fn refusal_is_logged_once_for_object_generation_and_field() {
    let object = |name, spec| object(name, spec).object;
    let mut before = BTreeMap::new();
    let good = object("a", json!({"extends": "rocm", "match": {"scaleSets": ["a"]}}));
    let bad = object("a", json!({"extends": "missing"}));
    let worse = object("a", json!({"gpus": 1}));
    let other = object("b", json!({"extends": "missing"}));
    assert!(logged(&mut before, std::slice::from_ref(&good)).is_empty());
    assert_eq!(logged(&mut before, std::slice::from_ref(&bad)), ["a"]);
    assert!(logged(&mut before, std::slice::from_ref(&bad)).is_empty());
    // The words of its problem list b now.
    assert_eq!(logged(&mut before, &[bad.clone(), other.clone()]), ["b"]);
    assert_eq!(logged(&mut before, &[worse, other.clone()]), ["a"]);
    let edited = Object { generation: 2, ..bad.clone() };
    assert_eq!(logged(&mut before, &[edited, other]), ["a"]);
    assert!(logged(&mut before, &[good]).is_empty());
    assert_eq!(logged(&mut before, &[bad]), ["a"]);
}

#[test]
fn builtin_message_follows_the_objects() {
    let (sources, _) = sources(true);
    assert_eq!(sources.is_builtin_for_all, None);
    let (sources, _) = sources.reload_objects(Some(Arc::default()));
    assert_eq!(sources.is_builtin_for_all, Some(true));
    let one = Arc::new(vec![object("a", json!({"gpus": 1}))]);
    let (sources, _) = sources.reload_objects(Some(one));
    assert_eq!(sources.is_builtin_for_all, Some(false));
    let (sources, _) = sources.reload_objects(Some(Arc::default()));
    assert_eq!(sources.is_builtin_for_all, Some(true));
}
