//! Answers from memory are the answers that would have been found.

use arc_rocm::admission::{Answer, Owner, Rules, Unreadable, answer};
use arc_rocm::selection::Requesters;

use crate::support::fixtures;

/// What ARC and the API server draw anew, in the captured reviews and in another pod's.
const DRAWN: [(&str, &str); 5] = [
    ("runner-b9ms2", "runner-zzzz9"),
    ("8cce6214-8c4f-433e-94a1-40362ba34256", "00000000-1111-2222-3333-444444444444"),
    ("f88d59e7-20f4-470e-98e1-dabce558afa3", "99999999-8888-7777-6666-555555555555"),
    ("kube-api-access-4s25w", "kube-api-access-9b8c7"),
    ("2026-11-24T22:25:08Z", "2027-01-01T00:00:00Z"),
];

fn captured(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(format!("{name}.review.json"))).unwrap()
}

fn next_pod(review: &[u8]) -> Vec<u8> {
    let mut text = String::from_utf8(review.to_vec()).unwrap();
    for (from, to) in DRAWN {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text.into_bytes()
}

/// The same rules without memory.
fn forgetful(rules: &Rules) -> Rules {
    Rules::new(rules.profiles.clone(), Requesters::default())
}

fn told(answer: Result<Answer, Unreadable>) -> Result<(String, String), String> {
    answer
        .map(|answer| (String::from_utf8(answer.body).unwrap(), format!("{:?}", answer.record)))
        .map_err(|error| error.to_string())
}

#[test]
fn the_next_pod_of_a_scale_set_is_known_and_gets_what_it_would_have_got() {
    let rules = Rules::default();
    let first = captured("plain");
    assert!(!rules.is_known(&first));
    answer(&first, &rules).unwrap();
    let next = next_pod(&first);
    assert!(rules.is_known(&next));
    let known = told(answer(&next, &rules)).unwrap();
    assert_eq!(known, told(answer(&next, &forgetful(&rules))).unwrap());
    assert!(known.0.contains("00000000-1111-2222-3333-444444444444"));
    assert!(known.1.contains("runner-zzzz9"));
}

/// An Event is found by its owner's uid: with that of an earlier pod it would be shown on another
/// runner, or on none.
#[test]
fn each_pod_of_a_scale_set_is_its_own_owners_when_the_answer_is_known() {
    let rules = Rules::default();
    let first = captured("plain");
    let owner = |review: &[u8]| answer(review, &rules).unwrap().record.owner.unwrap();
    let of_first = owner(&first);
    let next = next_pod(&first);
    assert!(rules.is_known(&next));
    let of_next = owner(&next);
    let named = |owner: &Owner| (owner.name.clone(), owner.uid.clone());
    let runner = "linux.rocm.gpu.gfx942.2-qx8ff-runner-";
    assert_eq!(
        named(&of_first),
        (format!("{runner}b9ms2"), "f88d59e7-20f4-470e-98e1-dabce558afa3".to_owned())
    );
    assert_eq!(
        named(&of_next),
        (format!("{runner}zzzz9"), "99999999-8888-7777-6666-555555555555".to_owned())
    );
    assert_eq!(owner(&first), of_first, "and the first one's is not lost");
}

#[test]
fn a_pod_whose_owner_is_written_with_escapes_is_not_remembered() {
    let rules = Rules::default();
    let review = plain_with("\"uid\":\"f88d59e7", "\"uid\":\"\\u006688d59e7");
    let record = answer(review.as_bytes(), &rules).unwrap().record;
    assert_eq!(record.owner.unwrap().uid, "f88d59e7-20f4-470e-98e1-dabce558afa3");
    assert!(!rules.is_known(review.as_bytes()));
}

#[test]
fn each_captured_review_is_known_when_it_comes_again() {
    let rules = Rules::default();
    for name in
        ["plain", "dind", "author-overrides", "kubernetes", "experimental-plain", "listener"]
    {
        let review = captured(name);
        let first = told(answer(&review, &rules)).unwrap();
        assert!(rules.is_known(&review), "{name}");
        assert_eq!(first, told(answer(&review, &rules)).unwrap(), "{name}");
    }
}

#[test]
fn a_review_that_differs_in_any_byte_gets_what_it_would_have_got() {
    let rules = Rules::default();
    for name in ["plain", "author-overrides"] {
        let review = captured(name);
        answer(&review, &rules).unwrap();
        let warm = forgetful(&rules);
        answer(&review, &warm).unwrap();
        for place in 0..review.len() {
            // Also a quote and a letter, which change the structure or the text.
            for byte in [b'"', b'x'] {
                let mut other = review.clone();
                other[place] = byte;
                if !warm.is_known(&other) {
                    continue;
                }
                let known = told(answer(&other, &warm));
                assert_eq!(known, told(answer(&other, &forgetful(&rules))), "byte {place}");
            }
        }
    }
}

#[test]
fn a_mount_that_names_another_volume_is_another_review() {
    let rules = Rules::default();
    let review = String::from_utf8(captured("plain")).unwrap();
    answer(review.as_bytes(), &rules).unwrap();
    // Only the volume is renamed, not its mount: the mount's volume is missing then.
    let other = review.replacen("kube-api-access-4s25w", "kube-api-access-9b8c7", 1);
    assert!(!rules.is_known(other.as_bytes()));
    let body = String::from_utf8(answer(other.as_bytes(), &rules).unwrap().body).unwrap();
    assert!(body.contains("volume-missing"));
}

#[test]
fn memory_is_bounded_and_the_oldest_goes_first() {
    let rules = Rules::default();
    let review = String::from_utf8(captured("plain")).unwrap();
    let of_set =
        |number: usize| review.replace("linux.rocm.gpu.gfx942.2", &format!("set-{number}"));
    for number in 0..100 {
        answer(of_set(number).as_bytes(), &rules).unwrap();
    }
    assert!(!rules.is_known(of_set(0).as_bytes()));
    assert!(rules.is_known(of_set(99).as_bytes()));
}

/// The captured plain pod, with one text for another.
fn plain_with(from: &str, to: &str) -> String {
    let review = String::from_utf8(captured("plain")).unwrap();
    assert!(review.contains(from), "{from}");
    review.replacen(from, to, 1)
}

#[test]
fn a_pod_that_is_yet_to_be_named_is_not_remembered() {
    let rules = Rules::default();
    let name = r#""name":"linux.rocm.gpu.gfx942.2-qx8ff-runner-b9ms2","namespace":"arc-runners","#;
    let nameless = |prefix: &str| {
        plain_with(name, r#""name":"","namespace":"arc-runners","#).replacen(
            name,
            &format!(r#""generateName":"{prefix}","namespace":"arc-runners","#),
            1,
        )
    };
    for prefix in ["some-", "same-"] {
        let review = nameless(prefix);
        let record = answer(review.as_bytes(), &rules).unwrap().record;
        assert_eq!(record.name, format!("{prefix}*"));
        assert!(!rules.is_known(review.as_bytes()));
    }
}

#[test]
fn a_pod_whose_token_volumes_are_not_plainly_one_is_not_remembered() {
    let rules = Rules::default();
    let volume = r#"{"name":"kube-api-access-4s25w","projected""#;
    let missing = plain_with(volume, r#"{"name":"kube-api-access-00000","projected""#);
    let none = plain_with(volume, r#"{"name":"other","projected""#);
    let two = plain_with(
        r#""volumes":["#,
        r#""volumes":[{"name":"kube-api-access-00000","emptyDir":{}},"#,
    );
    for review in [missing, none, two] {
        answer(review.as_bytes(), &rules).unwrap();
        assert!(!rules.is_known(review.as_bytes()), "{review}");
    }
}

#[test]
fn another_containers_registration_is_compared() {
    let rules = Rules::default();
    let review = |secret: &str| {
        let other = format!(
            r#""containers":[{{"name":"other","image":"i","env":[{{"name":"ACTIONS_RUNNER_INPUT_JITCONFIG","valueFrom":{{"secretKeyRef":{{"name":"{secret}","key":"k"}}}}}}]}},"#
        );
        plain_with(r#""containers":["#, &other)
    };
    answer(review("first").as_bytes(), &rules).unwrap();
    assert!(rules.is_known(review("first").as_bytes()));
    assert!(!rules.is_known(review("other").as_bytes()));
}
