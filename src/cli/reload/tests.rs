use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::{
    cli::config::ProfileArgs, cluster::profiles::Seen, inject::DEFAULT_CONTROLLER_USER,
    profile::status::RunnerProfileStatus, server::Limits, telemetry::Metrics,
};

/// Longer than any test takes: files are no matter here.
const PERIOD: Duration = Duration::from_mins(10);

fn seen(name: &str, spec: Value) -> Seen {
    let object = Object { name: name.to_owned(), uid: format!("uid-{name}"), generation: 1, spec };
    Seen { object, status: RunnerProfileStatus::default() }
}

#[tokio::test]
async fn objects_are_counted_by_verdict_and_not_before_they_were_seen() {
    let profiles = ProfileArgs::default();
    let args = ConfigArgs { profiles, controller_users: vec![DEFAULT_CONTROLLER_USER.to_owned()] };
    let (watched, rules) = Watched::new(args).unwrap();
    let service = Arc::new(Service::new(rules, Metrics::default(), Limits::default()));
    let (sight, objects) = watch::channel(None);
    let (verdicts, mut judged) = watch::channel(Verdicts::default());
    let feed = Feed { objects, verdicts };
    tokio::spawn(watched.watch(PERIOD, Arc::clone(&service), Some(feed)));
    let count = |is_accepted: bool| {
        let text = service.metrics().encode().unwrap();
        let series = format!("arc_rocm_profile_objects{{accepted=\"{is_accepted}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)).map(str::to_owned)
    };
    assert_eq!((count(true), count(false)), (None, None));
    let good = seen("good", json!({"extends": "rocm", "match": {"scaleSets": ["good"]}}));
    let bad = [seen("bad", json!({"extends": "nobody"})), seen("worse", json!({"gpus": 1}))];
    let all = [std::slice::from_ref(&good), &bad].concat();
    for (objects, accepted, refused) in
        [(all, "1", "2"), (vec![good], "1", "0"), (vec![], "0", "0")]
    {
        sight.send_replace(Some(Arc::new(objects)));
        judged.changed().await.unwrap();
        assert_eq!(
            (count(true).as_deref(), count(false).as_deref()),
            (Some(accepted), Some(refused))
        );
    }
}
