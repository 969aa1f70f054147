//! What ARC does with the API server's refusals, by its stand-in: `docs/admission.md` rests on it.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use crate::{
    arc::{
        controller::{Controller, End},
        kinds::Kind,
        runners,
        scale_set::ScaleSet,
    },
    capabilities::Need,
    case::{Case, case},
    cluster::text,
    hook::{Hook, Verdict, registered},
    probe::STATUS,
    scene::Scene,
    wait::{Look, until},
};

const SOON: Duration = Duration::from_secs(30);
/// What Pod Security says of a runner with the seed's dind.
const REFUSED: &str = "violates PodSecurity \"baseline:latest\": privileged (container \"dind\" \
    must not set securityContext.privileged=true)";
/// Where users read it.
const INSTALLING: &str = include_str!("../../../../deploy/README.md");

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("arc-403-loses-runner", denied_for_good).needs(&[Need::Host]),
        case("arc-invalid-patch-loses-runner", invalid).needs(&[Need::Host]),
        case("arc-503-denial-delays-runner", async |scene: &Scene| {
            delayed(scene, Verdict::Deny(503, "not now".to_owned()), 6, 503).await
        })
        .needs(&[Need::Host]),
        // The API server's answer is 500, whatever the webhook's was.
        case("arc-http-503-delays-runner", async |scene: &Scene| {
            delayed(scene, Verdict::Http(503), 6, 500).await
        })
        .needs(&[Need::Host]),
        case("arc-no-answer-delays-runner", async |scene: &Scene| {
            delayed(scene, Verdict::Silence, 2, 500).await
        })
        .needs(&[Need::Host]),
        case("pod-security-privileged-passes", privileged),
        case("pod-security-baseline-refuses", baseline),
    ]
}

fn plain() -> anyhow::Result<ScaleSet> {
    ScaleSet::new(Kind::Plain, "linux.rocm.gpu.gfx942.2")
}

/// A webhook after ours that says the same to every pod, until it is deleted: its path.
async fn saying(scene: &Scene, verdict: Verdict) -> anyhow::Result<(Hook, String)> {
    let hook = Hook::serve(scene.host()?, move |_| verdict.clone()).await?;
    let name = format!("z-{}", scene.namespace);
    scene.apply(&hook.registration(&name, &scene.namespace)).await?;
    registered(scene.cluster(), &hook, &scene.namespace).await?;
    Ok((hook, format!("{}/{name}", crate::install::REGISTRATIONS)))
}

async fn denied_for_good(scene: &Scene) -> anyhow::Result<()> {
    let (_hook, _) = saying(scene, Verdict::Deny(403, "no pods today".to_owned())).await?;
    let arc = scene.controller().await?;
    let runner = arc.scale(&plain()?, 1).await?.remove(0);
    let end = arc.ended(&runner, SOON).await?;
    ensure!(
        matches!(&end, End::InvalidPod(message) if message.contains("no pods today")),
        "{end:?}"
    );
    ensure!(arc.attempts(&runner).len() == 1, "{:?}", arc.attempts(&runner));
    failed_as_invalid(scene, &runner).await?;
    // It keeps its slot: the set does not make another.
    ensure!(arc.runners(&plain()?) == [runner]);
    Ok(())
}

/// The EphemeralRunner says so, and it is all that says so.
async fn failed_as_invalid(scene: &Scene, runner: &str) -> anyhow::Result<String> {
    let object = scene.cluster().get(&format!("{}/{runner}", runners(&scene.namespace))).await?;
    let status = &object["status"];
    ensure!(status["phase"] == "Failed" && status["reason"] == "InvalidPod", "{status}");
    Ok(text(status, "/message").to_owned())
}

/// What a webhook must never do: the API server answers 422, and ARC gives up.
async fn invalid(scene: &Scene) -> anyhow::Result<()> {
    let patch = json!([{"op": "replace", "path": "/spec/containers/0/name", "value": "No Name"}]);
    let (_hook, _) = saying(scene, Verdict::Patch(patch)).await?;
    let arc = scene.controller().await?;
    let runner = arc.scale(&plain()?, 1).await?.remove(0);
    let end = arc.ended(&runner, SOON).await?;
    ensure!(matches!(end, End::InvalidPod(_)), "{end:?}");
    let attempts = arc.attempts(&runner);
    let codes: Vec<u16> = attempts
        .iter()
        .filter_map(|attempt| attempt.result.as_ref().err())
        .map(|refused| refused.code)
        .collect();
    ensure!(codes == [422], "{attempts:?}");
    failed_as_invalid(scene, &runner).await?;
    Ok(())
}

/// The API server answers `code`; ARC tries again, later each time, and nothing is lost.
async fn delayed(scene: &Scene, verdict: Verdict, least: usize, code: u16) -> anyhow::Result<()> {
    let (_hook, registration) = saying(scene, verdict).await?;
    let arc = scene.controller().await?;
    let runner = arc.scale(&plain()?, 1).await?.remove(0);
    let attempts = until("some attempts", SOON, || async {
        let attempts = arc.attempts(&runner);
        Ok(if attempts.len() >= least {
            Look::Seen(attempts)
        } else {
            Look::NotYet(format!("{} attempts", attempts.len()))
        })
    })
    .await?;
    ensure!(
        attempts.iter().all(|a| a.result.as_ref().is_err_and(|refused| refused.code == code)),
        "{attempts:?}"
    );
    // 5 ms, 10, 20, 40, 80 between the ends and the next beginnings.
    let waited = attempts.windows(2).filter_map(|pair| match pair {
        [one, next] => Some(next.at.saturating_duration_since(one.at + one.took)),
        _ => None,
    });
    for (index, waited) in waited.take(5).enumerate() {
        let least = Duration::from_millis(5 << index);
        ensure!(waited >= least, "{waited:?} before attempt {}, not {least:?}", index + 2);
    }
    scene.cluster().delete(&registration).await?;
    let pod = stored(&arc, &runner).await?;
    ensure!(pod.pointer(STATUS).is_some(), "{pod:#}");
    ensure!(arc.end(&runner).is_none(), "nothing is lost");
    Ok(())
}

async fn stored(arc: &Controller, runner: &str) -> anyhow::Result<serde_json::Value> {
    arc.stored(runner, SOON).await
}

async fn privileged(scene: &Scene) -> anyhow::Result<()> {
    scene.enforce("privileged").await?;
    let arc = scene.controller().await?;
    let runner = arc.scale(&plain()?, 1).await?.remove(0);
    let pod = stored(&arc, &runner).await?;
    ensure!(pod.pointer(STATUS).is_some(), "{pod:#}");
    Ok(())
}

/// `deploy/README.md`, "Before you install": 403, and the runner is Failed for ever.
async fn baseline(scene: &Scene) -> anyhow::Result<()> {
    scene.enforce("baseline").await?;
    let arc = scene.controller().await?;
    let runner = arc.scale(&plain()?, 1).await?.remove(0);
    let end = arc.ended(&runner, SOON).await?;
    ensure!(matches!(end, End::InvalidPod(_)), "{end:?}");
    let attempts = arc.attempts(&runner);
    let refused = attempts.last().and_then(|attempt| attempt.result.clone().err());
    ensure!(refused.is_some_and(|refused| refused.code == 403), "{attempts:?}");
    let message = failed_as_invalid(scene, &runner).await?;
    ensure!(message.contains(REFUSED), "{message}");
    ensure!(INSTALLING.contains(REFUSED), "deploy/README.md says otherwise");
    Ok(())
}
