use std::collections::BTreeSet;

use super::*;

/// The series of a family with labels, each as `NAME{LABELS} VALUE`.
fn series(metrics: &Metrics, family: &str) -> Vec<String> {
    let text = metrics.encode().unwrap();
    let own = |line: &&str| line.starts_with(&format!("{family}{{"));
    text.lines().filter(own).map(str::to_owned).collect()
}

#[test]
fn skip_series_exist_from_the_start() {
    let all = series(&Metrics::default(), "arc_rocm_admissions_total");
    assert_eq!(all.len(), Skip::ALL.len());
    for skip in Skip::ALL {
        let labels = format!(r#"outcome="skipped",profile="",reason="{}""#, skip.as_str());
        assert!(all.contains(&format!("arc_rocm_admissions_total{{{labels}}} 0")), "{all:#?}");
    }
}

#[test]
fn start_creates_27_series_at_zero() {
    let metrics = Metrics::default();
    let families = [
        "arc_rocm_admissions_total",
        "arc_rocm_requests_refused_total",
        "arc_rocm_tls_reloads_total",
        "arc_rocm_profile_reloads_total",
        "arc_rocm_ca_bundle_publishes_total",
        "arc_rocm_tls_certificates_issued_total",
    ];
    let all = families.map(|family| series(&metrics, family)).concat();
    assert!(all.iter().all(|one| one.ends_with(" 0")), "{all:#?}");
    assert_eq!(all.len(), 27);
}

#[test]
fn profile_objects_have_no_series_until_read() {
    let metrics = Metrics::default();
    assert!(series(&metrics, "arc_rocm_profile_objects").is_empty());
    metrics.profile_objects(3, 1);
    metrics.profile_objects(4, 0);
    assert_eq!(
        BTreeSet::from_iter(series(&metrics, "arc_rocm_profile_objects")),
        BTreeSet::from([
            r#"arc_rocm_profile_objects{accepted="false"} 0"#.to_owned(),
            r#"arc_rocm_profile_objects{accepted="true"} 4"#.to_owned(),
        ])
    );
}
