//! What is stored of a runner pod: the seed's rows, for each captured kind.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{honest::OTHERS, seed};
use crate::{
    arc::{
        kinds::{self, Kind, set_name},
        pod, runners,
        scale_set::ScaleSet,
    },
    case::{Case, case},
    cluster::text,
    normal,
    probe::STATUS,
    program,
    replay::{NAMESPACE, Replay, accepted, installed_rules, patched},
    scene::Scene,
    settings::root,
};

const SOON: Duration = Duration::from_secs(30);

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("goldens-equal-stored-pods", golden),
        case("cli-inject-equals-stored-pod", injected),
        case("goldens-pass-strict-validation", strict),
        case("skip-other-pods", others),
    ];
    for kind in Kind::ALL {
        let run = async move |scene: &Scene| rows(scene, kind).await;
        cases.push(case(&format!("seed-rows-{}", kind.stem()), run));
    }
    cases
}

/// The pod of one runner of a kind, as it is stored.
async fn one(scene: &Scene, kind: Kind) -> anyhow::Result<Value> {
    let arc = scene.controller().await?;
    let set = ScaleSet::new(kind, "linux.rocm.gpu.gfx942.2")?;
    let runner = arc.scale(&set, 1).await?.remove(0);
    arc.stored(&runner, SOON).await
}

/// Each row of the seed, and what the kind has in its place.
async fn rows(scene: &Scene, kind: Kind) -> anyhow::Result<()> {
    let pod = one(scene, kind).await?;
    let wrong: Vec<String> = seed::ROWS
        .iter()
        .filter_map(|row| {
            let (holds, wanted) = ((row.holds)(&pod), seed::wanted(kind, row.name));
            let said = if holds { "is there, and should not be" } else { "is missing" };
            (holds != wanted).then(|| format!("{}: {said}", row.name))
        })
        .collect();
    ensure!(wrong.is_empty(), "{}\n{pod:#}", wrong.join("\n"));
    seed::kept(kind, &pod).with_context(|| format!("{pod:#}"))
}

/// The stored pod is what the captured pod becomes by the webhook's own code.
async fn golden(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let rules = installed_rules()?;
    let mut wrong = Vec::new();
    for kind in Kind::ALL {
        let captured = kind.review()?;
        let name = text(&captured, "/request/name");
        let set = ScaleSet::new(kind, set_name(&captured["request"]["object"]))?;
        arc.run(&set, name).await?;
        let stored = normal::stored(&arc.stored(name, SOON).await?, &scene.namespace);
        // In the case's namespace, as the stored one; the API server adds what it adds to any pod.
        let moved = captured.to_string().replace(NAMESPACE, &scene.namespace);
        // Of another name, as a dry run of one that is taken is refused.
        let mut golden = patched(&serde_json::from_str(&moved)?, &rules)?;
        golden["metadata"]["name"] = json!(format!("{name}-golden"));
        let mut golden = accepted(scene, &golden).await?;
        golden["metadata"]["name"] = json!(name);
        let golden = normal::stored(&golden, &scene.namespace);
        let lines = normal::difference(&golden, &stored);
        wrong.extend(lines.into_iter().map(|line| format!("{}: {line}", kind.stem())));
    }
    ensure!(wrong.is_empty(), "golden | stored\n{}", wrong.join("\n"));
    Ok(())
}

/// `arc-rocm inject` says offline what happens in the cluster.
async fn injected(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let settings = &scene.world.settings;
    let profiles = root().join("tests/e2e/suite/profiles");
    let profiles = profiles.to_string_lossy();
    for kind in Kind::ALL {
        let set = ScaleSet::new(kind, &format!("linux.rocm.gpu.{}", kind.stem()))?;
        let runner = arc.scale(&set, 1).await?.remove(0);
        let stored = arc.stored(&runner, SOON).await?;
        let path = format!("{}/{runner}", runners(&scene.namespace));
        let asked = pod::pod(&scene.cluster().get(&path).await?);
        let arguments = ["inject", "-f", "-", "-o", "json", "--profiles", &profiles];
        let printed = program::run(settings, &arguments, asked.to_string().as_bytes()).await?;
        let lines = normal::by_meaning(&serde_json::from_str(&printed)?, &stored);
        ensure!(lines.is_empty(), "{}: offline | stored\n{}", kind.stem(), lines.join("\n"));
    }
    Ok(())
}

/// Every golden pod, the untouched ones too, is one that the API server takes word for word.
async fn strict(scene: &Scene) -> anyhow::Result<()> {
    crate::arc::access::grant(scene.cluster(), &scene.namespace).await?;
    let rules = installed_rules()?;
    let stems = Kind::ALL.map(Kind::stem).into_iter().chain(OTHERS);
    for stem in stems {
        let pod = patched(&kinds::review(stem)?, &rules)?;
        accepted(scene, &pod).await.with_context(|| stem.to_owned())?;
    }
    Ok(())
}

/// Listener, job pods and impostors: created, and without a trace of us.
async fn others(scene: &Scene) -> anyhow::Result<()> {
    for stem in OTHERS {
        let captured = kinds::review(stem)?;
        let request = Replay::of(&captured, &scene.namespace)?;
        request.permit(scene).await?;
        let reply = request.send(scene.cluster()).await.with_context(|| stem.to_owned())?;
        let pod = &reply.object;
        ensure!(pod.pointer(STATUS).is_none(), "{stem}: {pod:#}");
        let [sent, stored] =
            [&captured["request"]["object"], pod].map(|pod| normal::stored(pod, NAMESPACE));
        let stored = &stored["spec"];
        let lines = normal::difference(&sent["spec"], stored);
        ensure!(lines.is_empty(), "{stem}: sent | stored\n{}", lines.join("\n"));
        // The registration's matchCondition excludes pods without an EphemeralRunner, so there is no
        // warning.
        let warnings = &reply.warnings;
        ensure!(
            warnings.iter().all(|warning| !warning.contains("arc-rocm")),
            "{stem}: warnings {warnings:?}"
        );
    }
    Ok(())
}
