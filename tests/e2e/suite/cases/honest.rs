//! The stand-in is honest: what the API server sends because of it equals what it sent because
//! of ARC's own controller (`tests/fixtures/arc`).

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::{
    arc::{
        kinds::{self, Kind, set_name},
        scale_set::ScaleSet,
    },
    capabilities::Need,
    case::{Case, case},
    cluster::text,
    hook::{Hook, Verdict, registered},
    normal,
    replay::{NAMESPACE, Replay},
    scene::Scene,
};

const SOON: Duration = Duration::from_secs(30);

/// Captured pods that ARC's controller for runners did not make.
pub(crate) const OTHERS: [&str; 4] = ["listener", "workflow", "impostor", "impostor-dry-run"];

/// What a minor version of Kubernetes sends in another way than the captured one (1.36), by JSON
/// pointer into the normalised review: none so far.
const BY_MINOR: &[&str] = &[];

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("captured-reviews-runners", runners).needs(&[Need::Host]),
        case("captured-reviews-others", others).needs(&[Need::Host]),
    ]
}

/// A webhook that sees each pod of the case's namespace before ours does.
async fn recorder(scene: &Scene) -> anyhow::Result<Hook> {
    let hook = Hook::serve(scene.host()?, |_| Verdict::Allow).await?;
    let mut registration = hook.registration(&format!("a-{}", scene.namespace), &scene.namespace);
    // Called once: what it would see the second time has our patch in it.
    registration["webhooks"][0]["reinvocationPolicy"] = json!("Never");
    scene.apply(&registration).await?;
    registered(scene.cluster(), &hook, &scene.namespace).await?;
    Ok(hook)
}

fn same(captured: &Value, sent: &Value, namespace: &str) -> Vec<String> {
    let captured = normal::review(captured, NAMESPACE);
    let mut lines = normal::difference(&captured, &normal::review(sent, namespace));
    lines.retain(|line| !BY_MINOR.iter().any(|pointer| line.starts_with(pointer)));
    lines
}

async fn runners(scene: &Scene) -> anyhow::Result<()> {
    let hook = recorder(scene).await?;
    let arc = scene.controller().await?;
    let mut wrong = Vec::new();
    for kind in Kind::ALL {
        let captured = kind.review()?;
        let name = text(&captured, "/request/name");
        let set = ScaleSet::new(kind, set_name(&captured["request"]["object"]))?;
        arc.run(&set, name).await?;
        arc.stored(name, SOON).await?;
        let reviews = hook.reviews();
        let review = reviews.iter().find(|review| text(review, "/request/name") == name);
        let review = review.with_context(|| format!("no review of {name}"))?;
        let lines = same(&captured, review, &scene.namespace);
        wrong.extend(lines.into_iter().map(|line| format!("{}: {line}", kind.stem())));
    }
    ensure!(wrong.is_empty(), "captured | sent\n{}", wrong.join("\n"));
    Ok(())
}

async fn others(scene: &Scene) -> anyhow::Result<()> {
    let hook = recorder(scene).await?;
    let mut wrong = Vec::new();
    for stem in OTHERS {
        let mut captured = kinds::review(stem)?;
        let replay = Replay::of(&captured, &scene.namespace)?;
        replay.permit(scene).await?;
        replay.send(scene.cluster()).await.with_context(|| stem.to_owned())?;
        let reviews = hook.reviews();
        let sent = reviews.last().with_context(|| format!("no review of {stem}"))?;
        let mut sent = sent.clone();
        if text(&captured, "/request/namespace") == crate::arc::NAMESPACE {
            // The listener is in the namespace of ARC's controller, its replay in the case's.
            for pointer in ["/request/namespace", "/request/object/metadata/namespace"] {
                let namespace = captured.pointer_mut(pointer).context("no namespace")?;
                *namespace = json!(NAMESPACE);
            }
            let label = "/request/object/metadata/labels/actions.github.com~1scale-set-namespace";
            *sent.pointer_mut(label).context("no label")? = json!(scene.namespace);
        }
        let lines = same(&captured, &sent, &scene.namespace);
        wrong.extend(lines.into_iter().map(|line| format!("{stem}: {line}")));
    }
    ensure!(wrong.is_empty(), "captured | sent\n{}", wrong.join("\n"));
    Ok(())
}
