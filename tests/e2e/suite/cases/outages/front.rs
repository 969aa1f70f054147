//! Something in front of the webhook: a proxy that is slow, or that answers garbage.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use arc_rocm::{admission::answer, inject::Config};
use serde_json::{Value, json};

use super::{WAITING, delayed, installed, recovered, set, unrelated};
use crate::{
    arc::{access, controller::Controller},
    capabilities::Need,
    case::{Case, case},
    hook::{Hook, Verdict},
    install::Installation,
    probe,
    replay::installed_rules,
    scene::Scene,
    wait::{Look, until},
};

/// The webhook's timeout, as the chart registers it, and so much more that an attempt which
/// ends before has not waited for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
const TOO_LATE: Duration = Duration::from_secs(30);
const CALLED: Duration = Duration::from_mins(1);

pub(crate) fn cases() -> Vec<Case> {
    let front = |case: Case| case.needs(&[Need::Host]).own_webhook().within(super::RECOVERY * 2);
    vec![front(case("outage-webhook-slow", slow)), front(case("outage-garbage-answers", garbage))]
}

/// What the webhook itself says, by its own code.
fn behaves(request: &Value, rules: &Config) -> Verdict {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": request,
    });
    match answer(review.to_string().as_bytes(), rules) {
        Ok(answer) => Verdict::Body(answer.body),
        Err(_) => Verdict::Http(400),
    }
}

/// Sends the API server to a hook in the webhook's place, waits until it goes there, and returns
/// the `webhooks` as they were.
async fn instead(scene: &Scene, installation: &Installation, hook: &Hook) -> anyhow::Result<Value> {
    let cluster = scene.cluster();
    let before = cluster.get(&installation.registration()).await?["webhooks"].take();
    let mut webhooks = before.clone();
    webhooks[0]["clientConfig"] = hook.client_config();
    cluster.merge(&installation.registration(), &json!({"webhooks": webhooks})).await?;
    let pod = probe::runner_pod(&scene.namespace)?;
    let arc = cluster.by(&access::user())?;
    until("the API server to call the hook", CALLED, || async {
        let said = probe::dry_run(&arc, &scene.namespace, &pod).await;
        Ok(match hook.reviews().len() {
            0 => Look::NotYet(format!("{:?}", said.map(|reply| reply.warnings))),
            _ => Look::Seen(()),
        })
    })
    .await?;
    Ok(before)
}

/// Puts the registration back, and waits until the webhook itself is called.
async fn restore(
    scene: &Scene,
    installation: &Installation,
    webhooks: &Value,
    hook: &Hook,
) -> anyhow::Result<()> {
    let cluster = scene.cluster();
    cluster.merge(&installation.registration(), &json!({"webhooks": webhooks})).await?;
    until("the API server to call the webhook again", CALLED, || async {
        let before = hook.reviews().len();
        probe::called_in(cluster, &scene.namespace).await?;
        Ok(if hook.reviews().len() == before {
            Look::Seen(())
        } else {
            Look::NotYet("the hook is called".to_owned())
        })
    })
    .await
}

/// Each answer comes after the API server has given up; then in time.
async fn slow(scene: &Scene) -> anyhow::Result<()> {
    let installation = installed(scene).await?;
    let (rules, is_slow) = (installed_rules()?, Arc::new(AtomicBool::new(true)));
    let tired = Arc::clone(&is_slow);
    let hook = Hook::serve(scene.host()?, move |request| {
        let verdict = behaves(request, &rules);
        if tired.load(Ordering::Relaxed) {
            Verdict::Late(TOO_LATE, Box::new(verdict))
        } else {
            verdict
        }
    })
    .await?;
    let arc = scene.controller().await?;
    let before = instead(scene, &installation, &hook).await?;
    let seen = async {
        let mut waiting = delayed(scene, &arc, 2, "context deadline exceeded").await?;
        for attempt in waiting.iter().flat_map(|runner| arc.attempts(runner)) {
            ensure!((TIMEOUT..TOO_LATE).contains(&attempt.took), "took {:?}", attempt.took);
        }
        is_slow.store(false, Ordering::Relaxed);
        recovered(scene, &arc, &waiting).await?;
        waiting = arc.scale(&set()?, WAITING + 1).await?;
        recovered(scene, &arc, &waiting).await
    }
    .await;
    restore(scene, &installation, &before, &hook).await?;
    seen
}

/// Status 200, and nothing that the API server can use.
async fn garbage(scene: &Scene) -> anyhow::Result<()> {
    let installation = installed(scene).await?;
    let said = Arc::new(Mutex::new(Value::Null));
    let saying = Arc::clone(&said);
    let hook = Hook::serve(scene.host()?, move |request| {
        let mut body = saying.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match &mut body {
            Value::String(text) => Verdict::Body(text.clone().into_bytes()),
            review => {
                if review["response"]["uid"].is_null() {
                    review["response"]["uid"] = request["uid"].clone();
                }
                Verdict::Body(review.to_string().into_bytes())
            }
        }
    })
    .await?;
    let arc = scene.controller().await?;
    let before = instead(scene, &installation, &hook).await?;
    let seen = async {
        for (index, (what, body)) in garbage_bodies().into_iter().enumerate() {
            *said.lock().unwrap_or_else(PoisonError::into_inner) = body;
            refused(&arc, index + 1, what).await?;
            unrelated(scene, &format!("during-{index}")).await?;
        }
        Ok(())
    }
    .await;
    restore(scene, &installation, &before, &hook).await?;
    seen.and(recovered(scene, &arc, &arc.runners(&set()?)).await)
}

/// Answers by what is wrong with them; texts as they are, reviews with the request's uid.
fn garbage_bodies() -> Vec<(&'static str, Value)> {
    let review = |response: Value| {
        json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": response,
        })
    };
    let patch =
        |patch: &str| review(json!({"allowed": true, "patchType": "JSONPatch", "patch": patch}));
    vec![
        ("nothing", json!("")),
        ("no JSON", json!("<html>502 Bad Gateway</html>")),
        ("half of an answer", json!(r#"{"apiVersion":"admission.k8s.io/v1","kind":"Admis"#)),
        ("another kind", json!(r#"{"apiVersion":"v1","kind":"Status"}"#)),
        ("no response", json!(r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#)),
        ("another uid", review(json!({"allowed": true, "uid": "another"}))),
        ("a patch that is no base64", patch("?")),
        // {}
        ("a patch that is no list", patch("e30=")),
        // [{"op":"replace","path":"/spec/none/0","value":1}]
        (
            "a patch that does not apply",
            patch("W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9zcGVjL25vbmUvMCIsInZhbHVlIjoxfV0="),
        ),
    ]
}

/// The `count`th runner is refused, more than once.
async fn refused(arc: &Controller, count: usize, what: &str) -> anyhow::Result<()> {
    let runners = arc.scale(&set()?, count).await?;
    let Some(runner) = runners.last() else { return Ok(()) };
    let attempts = until(&format!("{what}: refusals"), super::REFUSALS, || async {
        let attempts = arc.attempts(runner);
        Ok(if attempts.len() > 2 {
            Look::Seen(attempts)
        } else {
            Look::NotYet(format!("{} attempts, {:?}", attempts.len(), arc.end(runner)))
        })
    })
    .await?;
    for attempt in attempts {
        let code = attempt.result.as_ref().err().map(|refused| refused.code);
        ensure!(code == Some(500), "{what}: {:?}", attempt.result);
    }
    Ok(())
}
