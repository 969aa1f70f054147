use serde_json::json;

use super::*;

fn object(name: &str, spec: Value) -> Object {
    Object { name: name.to_owned(), uid: format!("uid-{name}"), generation: 1, spec }
}

fn review(operation: &str, name: &str, spec: &Value, old: Option<&Value>) -> Value {
    let object = |spec: &Value| {
        json!({
            "apiVersion": "arc-rocm.dev/v1alpha1",
            "kind": "RunnerProfile",
            "metadata": {"name": name, "managedFields": [{"fieldsV1": {"f:spec": {}}}]},
            "spec": spec,
        })
    };
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": "arc-rocm.dev", "version": "v1alpha1", "kind": "RunnerProfile"},
            "operation": operation,
            "name": name,
            "object": object(spec),
            "oldObject": old.map(object),
        },
    })
}

fn request(review: &Value) -> ProfileRequest {
    ProfileRequest::read(review.to_string().as_bytes()).unwrap()
}

/// Creates `name` beside `objects`.
fn create(name: &str, spec: &Value, objects: &[Object]) -> ProfileDecision {
    request(&review("CREATE", name, spec, None)).decide(&[], objects)
}

/// Updates the one of `objects` that has this name.
fn update(name: &str, spec: &Value, objects: &[Object]) -> ProfileDecision {
    let old = objects.iter().find(|object| object.name == name).map(|object| &object.spec);
    request(&review("UPDATE", name, spec, old)).decide(&[], objects)
}

fn fields(decision: &ProfileDecision) -> Vec<&str> {
    decision.problems.iter().map(|(field, _)| field.as_str()).collect()
}

/// A base that a child's credentials need: they are read by the start wrapper.
fn base_and_child() -> [Object; 2] {
    let child =
        json!({"extends": "common", "dind": {"registryCredentials": {"secretName": "hub"}}});
    [object("common", json!({"extends": "rocm"})), object("child", child)]
}

#[test]
fn good_profile_is_allowed_without_a_word() {
    let spec = json!({"extends": "rocm", "match": {"scaleSets": ["a-*"]}});
    assert_eq!(create("a", &spec, &[]), ProfileDecision::default());
}

#[test]
fn bad_profile_is_refused_with_every_problem_and_its_field() {
    let spec = json!({
        "extends": "rocm",
        "gpu": {"perGpu": {"cpus": "1"}},
        "template": {"spec": {"nodeSelectr": {}}},
    });
    let bad = review("CREATE", "a", &spec, None);
    let decision = request(&bad).decide(&[], &[]);
    assert_eq!(fields(&decision), ["spec.gpu.perGpu.cpus", "spec.template.spec.nodeSelectr"]);
    let answer: Value = serde_json::from_slice(&request(&bad).answer(&decision)).unwrap();
    let response = &answer["response"];
    assert_eq!((&response["uid"], &response["allowed"]), (&json!("1"), &json!(false)));
    let status = &response["status"];
    assert_eq!((&status["code"], &status["reason"]), (&json!(422), &json!("Invalid")));
    let message = status["message"].as_str().unwrap();
    assert!(message.starts_with("2 problems:\n- spec.gpu.perGpu.cpus: "), "{message}");
    assert!(message.contains("did you mean \"nodeSelector\"?"), "{message}");
    let details = &status["details"];
    assert_eq!((&details["name"], &details["kind"]), (&json!("a"), &json!("RunnerProfile")));
    assert_eq!(details["causes"][1]["field"], "spec.template.spec.nodeSelectr");
}

#[test]
fn update_that_breaks_an_extender_is_refused() {
    let decision = update(
        "common",
        &json!({"extends": "rocm", "start": {"enabled": false}}),
        &base_and_child(),
    );
    assert_eq!(fields(&decision), ["spec"]);
    let message = &decision.problems[0].1;
    let wanted = "RunnerProfile child, which extends this one, would be left out: ";
    assert!(message.starts_with(wanted), "{message}");
    let harmless = json!({"extends": "rocm", "groups": [7]});
    assert_eq!(update("common", &harmless, &base_and_child()), ProfileDecision::default());
}

#[test]
fn update_with_own_problems_does_not_list_extenders() {
    let decision = update("common", &json!({"extends": "rocm", "gpus": 1}), &base_and_child());
    assert_eq!(fields(&decision), ["spec.gpus"]);
}

/// `kubectl apply -f folder` creates in the order of names.
#[test]
fn new_profile_may_come_before_its_base() {
    let decision = create("a", &json!({"extends": "b"}), &[]);
    assert!(decision.problems.is_empty(), "{decision:?}");
    let [warning] = decision.warnings.as_slice() else { panic!("{decision:?}") };
    assert!(warning.contains("spec.extends: there is no profile \"b\""), "{warning}");
    // Its own mistakes are refused at once.
    let decision = create("a", &json!({"extends": "b", "gpus": 1}), &[]);
    assert_eq!((fields(&decision), decision.warnings.len()), (vec!["spec.gpus"], 0));
    // Left out already, so an edit takes nothing out of force.
    let waiting = [object("a", json!({"extends": "b"}))];
    assert_eq!(update("a", &json!({"extends": "c"}), &waiting).warnings.len(), 1);
}

#[test]
fn update_to_a_missing_base_is_refused() {
    let objects = base_and_child();
    assert_eq!(fields(&update("child", &json!({"extends": "bse"}), &objects)), ["spec.extends"]);
    assert_eq!(fields(&update("common", &json!({"extends": "rcom"}), &objects)), ["spec.extends"]);
}

#[test]
fn circle_is_refused() {
    let one = [object("b", json!({"extends": "a"}))];
    assert_eq!(fields(&create("a", &json!({"extends": "b"}), &one)), ["spec.extends"]);
    assert_eq!(fields(&create("a", &json!({"extends": "a"}), &[])), ["spec.extends"]);
    // One of others is not this profile's problem.
    let others = [object("b", json!({"extends": "c"})), object("c", json!({"extends": "b"}))];
    assert_eq!(create("a", &json!({"extends": "b"}), &others).warnings.len(), 1);
}

#[test]
fn name_of_a_file_is_refused() {
    let text =
        "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {name: a}\nspec: {}\n";
    let file = File { name: "a.yaml".to_owned(), text: text.to_owned() };
    let decision = request(&review("CREATE", "a", &json!({}), None)).decide(&[file], &[]);
    assert_eq!(fields(&decision), ["metadata.name"]);
}

/// A label or a finalizer of one that was stored while the webhook was away.
#[test]
fn bad_profile_with_an_unchanged_spec_is_allowed() {
    let bad = json!({"gpus": 1});
    let objects = [object("a", bad.clone())];
    assert_eq!(update("a", &bad, &objects), ProfileDecision::default());
    assert_eq!(fields(&update("a", &json!({"gpus": 2}), &objects)), ["spec.gpus"]);
}

#[test]
fn deep_and_large_specs_are_refused() {
    let deep = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
    let large = format!("[{}0]", "0,".repeat(MAX_VALUES));
    for (spec, wanted) in [(deep, "levels"), (large, "at most 20000 values")] {
        let marker = json!({"template": "SPEC"});
        let text = review("CREATE", "a", &marker, None).to_string().replace("\"SPEC\"", &spec);
        let decision = ProfileRequest::read(text.as_bytes()).unwrap().decide(&[], &[]);
        assert!(decision.problems[0].1.contains(wanted), "{:?}", decision.problems[0]);
    }
}

#[test]
fn other_requests_are_allowed() {
    let bad = json!({"gpus": 1});
    assert!(!request(&review("DELETE", "a", &bad, None)).is_checked());
    let mut pod = review("CREATE", "a", &bad, None);
    pod["request"]["kind"] = json!({"group": "", "version": "v1", "kind": "Pod"});
    assert!(!request(&pod).is_checked());
    let mut ends = review("UPDATE", "a", &bad, Some(&json!({})));
    ends["request"]["object"]["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert!(!request(&ends).is_checked());
    let answer = request(&pod).answer(&ProfileDecision::default());
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["response"], json!({"uid": "1", "allowed": true}));
}

#[test]
fn body_that_is_no_review_is_an_error() {
    for body in ["", "{}", r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#] {
        ProfileRequest::read(body.as_bytes()).unwrap_err();
    }
}

#[test]
fn generated_name_is_checked_as_a_name() {
    let mut generated = review("CREATE", "", &json!({"extends": "missing"}), None);
    generated["request"]["object"]["metadata"] = json!({"generateName": "fleet-"});
    let request = request(&generated);
    assert_eq!(request.name, "fleet-0");
    assert_eq!(request.decide(&[], &[]).warnings.len(), 1);
}

/// Compiling a thousand profiles could take longer than the webhook's timeout.
#[test]
fn decision_depends_on_related_objects_alone() {
    let mut objects: Vec<Object> =
        (0..1000).map(|index| object(&format!("n{index:04}"), json!({}))).collect();
    objects.push(object("zz-middle", json!({"extends": "zz-top"})));
    objects.push(object("zz-low", json!({"extends": "zz-middle"})));
    objects.push(object("zz-top", json!({})));
    objects.push(object("zz-under", json!({"extends": "zz-low"})));
    let spec = json!({"extends": "zz-middle"});
    let request = request(&review("UPDATE", "zz-low", &spec, Some(&json!({}))));
    let related = request.related(&spec, &objects);
    let names: Vec<&str> = related.iter().map(|object| object.name.as_str()).collect();
    assert_eq!(names.len(), LISTED + 4);
    assert_eq!(names[LISTED..], ["zz-low", "zz-middle", "zz-top", "zz-under"]);
}
