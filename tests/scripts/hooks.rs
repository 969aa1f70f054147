//! The job hooks: what keeps a job from starting, and what is stopped after it.

use std::fs;

use arc_rocm::scripts::{JOB_COMPLETED, JOB_STARTED, WRITE_HOOKS, WRITE_HOOKS_NAME};

use crate::world::{End, Shell, World};

in_every_shell!(
    job_started_hook_passes_with_free_gpus,
    job_started_hook_fails_with_used_gpu_memory,
    job_started_hook_waits_for_freed_memory,
    job_started_hook_ignores_gpus_of_others,
    job_completed_hook_stops_containers_with_grace,
    job_completed_hook_never_fails_the_job,
    hooks_are_written_unchanged,
);

const TOOLS: [&str; 4] = ["mkdir", "sleep", "timeout", "xargs"];
const MIB: u64 = 1 << 20;

/// A world whose GPUs have so much memory in use; `None` is a partition, which has no such file.
fn gpus(shell: Shell, used: &[(&str, Option<u64>)]) -> World {
    let world = World::new(shell, &TOOLS);
    for (node, used) in used {
        world.nodes(&[node]);
        let device = format!("sys/class/drm/{node}/device");
        fs::create_dir_all(world.path(&device)).unwrap();
        if let Some(used) = used {
            world.write(&format!("{device}/mem_info_vram_used"), &format!("{used}\n"));
        }
    }
    world
}

/// Runs the hook in the world, as bash -e does in the runner; with one look where `hasty`. The runner
/// has asked for all the GPUs that are there.
fn started(world: &World, limit: &str, hasty: bool) -> End {
    let gpus = fs::read_dir(world.path("dev/dri")).unwrap().count();
    started_with(world, limit, hasty, &gpus.to_string())
}

fn started_with(world: &World, limit: &str, hasty: bool, gpus: &str) -> End {
    let mut script = world.with_paths(&JOB_STARTED, &["/dev/dri", "/sys/class"]);
    if hasty {
        script = script.replace("tries=30", "tries=1");
    }
    let script = world.script(&format!("set -e\n{script}"), "hook", &[]);
    script.env("ARC_ROCM_MAX_USED_VRAM_MIB", limit).env("ARC_ROCM_GPUS", gpus).run()
}

fn job_started_hook_passes_with_free_gpus(shell: Shell) {
    for used in [
        &[("renderD128", Some(283 * MIB)), ("renderD129", Some(1024 * MIB))][..],
        &[("renderD128", None)],
        &[],
    ] {
        let world = gpus(shell, used);
        world.program("sleep", "");
        let end = started(&world, "1024", false);
        assert_eq!(end.code, Some(0), "{end:#?}");
        assert_eq!(end.stdout, "");
        end.is_silent();
        assert_eq!(world.calls(), [""; 0], "the first look is enough");
    }
}

fn job_started_hook_fails_with_used_gpu_memory(shell: Shell) {
    // 180 GiB, past 32 bits.
    let world =
        gpus(shell, &[("renderD128", Some(283 * MIB)), ("renderD136", Some(184_320 * MIB))]);
    let end = started(&world, "1024", true);
    assert_eq!(end.code, Some(1), "{end:#?}");
    assert_eq!(
        end.stdout,
        "::error::arc-rocm: memory of this runner's GPUs is held by others: \
         renderD136 (184320 MiB used)\n"
    );
    assert_eq!(started(&world, "200000", true).code, Some(0));
}

fn job_started_hook_waits_for_freed_memory(shell: Shell) {
    let world = gpus(shell, &[("renderD128", Some(90_000 * MIB))]);
    let file = world.text("sys/class/drm/renderD128/device/mem_info_vram_used");
    fs::remove_file(world.path("tools/sleep")).unwrap();
    world.program("sleep", &format!("echo 0 >'{file}'"));
    let end = started(&world, "1024", false);
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!(world.calls(), ["sleep 1"]);
}

/// A privileged runner sees every GPU of the node (ROCm/k8s-device-plugin#137,
/// kubernetes/kubernetes#81256).
fn job_started_hook_ignores_gpus_of_others(shell: Shell) {
    let used = [("renderD128", Some(1)), ("renderD129", Some(180_000 * MIB))];
    let world = gpus(shell, &used);
    for (asked, code) in [("2", 1), ("1", 0), ("0", 0), ("", 0)] {
        let end = started_with(&world, "1024", true, asked);
        assert_eq!((end.code, end.stdout.is_empty()), (Some(code), code == 0), "{asked}: {end:#?}");
    }
}

fn completed(world: &World) -> End {
    world.script(&format!("set -e\n{}", *JOB_COMPLETED), "hook", &[]).run()
}

fn job_completed_hook_stops_containers_with_grace(shell: Shell) {
    let world = World::new(shell, &TOOLS);
    let body = r#"case $* in
        "ps -q") printf 'c1\nc2\n' ;;
        ps*) echo 'web (nginx)' ;;
    esac"#;
    world.program("docker", body);
    let end = completed(&world);
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert!(end.stdout.contains("web (nginx)"), "{end:#?}");
    assert!(world.calls().contains(&"docker stop -t 10 c1 c2".to_owned()), "{:?}", world.calls());
}

fn job_completed_hook_never_fails_the_job(shell: Shell) {
    for body in ["exit 1", "case $1 in ps) echo c1 ;; *) exit 1 ;; esac", ""] {
        let world = World::new(shell, &TOOLS);
        world.program("docker", body);
        assert_eq!(completed(&world).code, Some(0), "{body}");
    }
    let world = World::new(shell, &TOOLS);
    assert_eq!(completed(&world).code, Some(0), "no docker");
}

fn hooks_are_written_unchanged(shell: Shell) {
    let world = World::new(shell, &TOOLS);
    let args = [world.text("podinfo"), JOB_STARTED.clone(), JOB_COMPLETED.clone()];
    let end = world.script(WRITE_HOOKS, WRITE_HOOKS_NAME, &args).run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!(world.read("podinfo/job-started.sh"), *JOB_STARTED);
    assert_eq!(world.read("podinfo/job-completed.sh"), *JOB_COMPLETED);
}
