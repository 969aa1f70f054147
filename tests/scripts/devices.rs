//! `start.sh` on nodes of several kinds: which GPUs jobs are told of, and under which numbers
//! (issue 7).

use std::os::unix::fs::MetadataExt as _;

use crate::{
    consumers::{assert_render_devices, docker_env_file, rocr_visible},
    start::{DEVICES, ISOLATION, RAN, start, world},
    world::{Kfd, Shell, World},
};

in_every_shell!(
    gpu_index_counts_all_gpus_of_the_node,
    gpu_index_limits_a_job_with_all_of_dev_dri,
    gpu_index_follows_kfd_nodes,
    gpu_index_of_all_gpus_starts_at_0,
    gpu_index_differs_for_each_partition,
    partitions_unknown_to_kfd_are_not_used,
    gpu_index_ignores_gaps_between_render_nodes,
    gpu_index_skips_unopenable_gpus,
    gpu_index_without_topology_is_empty_and_reported,
    gpu_index_with_foreign_topology_is_empty,
    gpu_index_is_empty_without_the_option,
    gpu_index_is_empty_if_the_runner_sets_the_variable,
    gpu_index_of_cpu_runner_is_empty,
    group_add_nodes_uses_the_nodes_groups,
);

const fn gpu(minor: u32) -> Kfd {
    Kfd::Gpu { minor, unique_id: 0x1234_5678_9abc_0000 + minor as u64 }
}

/// A partition: all of one GPU have the same `unique_id`.
const fn partition(minor: u32) -> Kfd {
    Kfd::Gpu { minor, unique_id: 0x1234_5678_9abc_def0 }
}

/// Eight MI300X in SPX mode behind two CPUs, as a container sees them that was given those in
/// `given`: of the others there are neither devices nor readable files.
fn eight(world: &World, given: &[u32]) {
    let gpus =
        (128..136).map(|minor| if given.contains(&minor) { gpu(minor) } else { Kfd::Refused });
    world.kfd(&[Kfd::Cpu, Kfd::Cpu].into_iter().chain(gpus).collect::<Vec<_>>());
    devices(world, given);
}

fn devices(world: &World, minors: &[u32]) {
    for minor in minors {
        world.nodes(&[&format!("renderD{minor}")]);
    }
}

/// Runs the script for all the GPUs that are there, and gives the indices that it wrote.
#[track_caller]
fn told(world: &World, minors: &[u32]) -> String {
    let gpus = format!("--gpus={}", minors.len());
    let end = start(world, &[&gpus, "--group-add=110", "--rocr"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    assert_render_devices(&world.path(DEVICES), &[110], minors, None);
    assert_eq!((world.mode(DEVICES), world.mode(ISOLATION)), (0o644, 0o644));
    docker_env_file(&world.path(ISOLATION));
    world.read(ISOLATION)
}

fn gpu_index_counts_all_gpus_of_the_node(shell: Shell) {
    for (minor, index) in [(128, 0), (131, 3), (135, 7)] {
        let world = world(shell);
        eight(&world, &[minor]);
        assert_eq!(told(&world, &[minor]), format!("ROCR_VISIBLE_DEVICES={index}\n"));
    }
}

fn gpu_index_limits_a_job_with_all_of_dev_dri(shell: Shell) {
    let world = world(shell);
    eight(&world, &[132, 133]);
    assert_eq!(told(&world, &[132, 133]), "ROCR_VISIBLE_DEVICES=4,5\n");
    let variables = docker_env_file(&world.path(ISOLATION));
    assert_eq!(rocr_visible(&variables, 8), [4, 5]);
    // The trap that docs/what-a-job-sees.md warns of: with two devices of its own it sees none.
    assert_eq!(rocr_visible(&variables, 2), [0_usize; 0]);
}

fn gpu_index_follows_kfd_nodes(shell: Shell) {
    let world = world(shell);
    let minors = [135, 129, 128, 134, 130, 131, 132, 133];
    world.kfd(&[&[Kfd::Cpu][..], &minors.map(gpu)].concat());
    devices(&world, &[128, 129, 135]);
    assert_eq!(told(&world, &[128, 129, 135]), "ROCR_VISIBLE_DEVICES=0,1,2\n");
    let other = crate::start::world(shell);
    other.kfd(&[&[Kfd::Cpu][..], &minors.map(gpu), &[Kfd::Cpu, gpu(136), gpu(200)]].concat());
    devices(&other, &[130, 200]);
    // Node 12 is read after node 2, not between 1 and 2.
    assert_eq!(told(&other, &[130, 200]), "ROCR_VISIBLE_DEVICES=4,9\n");
}

fn gpu_index_of_all_gpus_starts_at_0(shell: Shell) {
    let world = world(shell);
    let all: Vec<u32> = (128..136).collect();
    eight(&world, &all);
    assert_eq!(told(&world, &all), "ROCR_VISIBLE_DEVICES=0,1,2,3,4,5,6,7\n");
}

fn gpu_index_differs_for_each_partition(shell: Shell) {
    // DPX: two partitions of each GPU.
    let dpx = world(shell);
    dpx.kfd(&[Kfd::Cpu, Kfd::Refused, Kfd::Refused, partition(130), partition(131)]);
    devices(&dpx, &[130, 131]);
    assert_eq!(told(&dpx, &[130, 131]), "ROCR_VISIBLE_DEVICES=2,3\n");
    // CPX: eight of each, 64 on the node; this container has the last of each GPU.
    let cpx = world(shell);
    let given: Vec<u32> = (0..8).map(|gpu| 128 + gpu * 8 + 7).collect();
    let nodes = (128..192)
        .map(|minor| if given.contains(&minor) { partition(minor) } else { Kfd::Refused });
    cpx.kfd(&[Kfd::Cpu, Kfd::Cpu].into_iter().chain(nodes).collect::<Vec<_>>());
    devices(&cpx, &given);
    assert_eq!(told(&cpx, &given), "ROCR_VISIBLE_DEVICES=7,15,23,31,39,47,55,63\n");
    let variables = docker_env_file(&cpx.path(ISOLATION));
    assert_eq!(rocr_visible(&variables, 64).len(), 8, "no duplicate ends the list");
}

fn partitions_unknown_to_kfd_are_not_used(shell: Shell) {
    let world = world(shell);
    world.kfd(&[Kfd::Cpu, gpu(128), gpu(136)]);
    devices(&world, &[128, 129, 130, 136]);
    let end = start(&world, &["--gpus=2", "--rocr"], &RAN).run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.says("arc-rocm: /dev/dri/renderD129 is no GPU that KFD knows, not used\n");
    assert_render_devices(&world.path(DEVICES), &[], &[128, 136], None);
    assert_eq!(world.read(ISOLATION), "ROCR_VISIBLE_DEVICES=0,1\n");
    start(&world, &["--gpus=2", "--rocr", "--env=A=b"], &RAN).run();
    assert_eq!(world.read(ISOLATION), "ROCR_VISIBLE_DEVICES=0,1\nA=b\n");
}

fn gpu_index_ignores_gaps_between_render_nodes(shell: Shell) {
    let world = world(shell);
    world.kfd(&[Kfd::Cpu, gpu(128), Kfd::Refused, gpu(1280), gpu(129)]);
    devices(&world, &[128, 1280]);
    assert_eq!(told(&world, &[128, 1280]), "ROCR_VISIBLE_DEVICES=0,2\n");
}

fn gpu_index_skips_unopenable_gpus(shell: Shell) {
    let world = world(shell);
    world.kfd(&[Kfd::Cpu, gpu(128), gpu(129)]);
    world.closed_node("renderD128");
    devices(&world, &[129]);
    assert_eq!(told(&world, &[129]), "ROCR_VISIBLE_DEVICES=1\n");
}

fn gpu_index_without_topology_is_empty_and_reported(shell: Shell) {
    let world = world(shell);
    devices(&world, &[128]);
    let end = start(&world, &["--gpus=1", "--rocr"], &RAN).run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!(
        end.stderr,
        "arc-rocm: no KFD topology of these GPUs in /sys: gha-gpu-isolation-settings is empty, jobs \
         that rely on it see every GPU of the node\n"
    );
    assert_eq!(world.read(ISOLATION), "");
}

fn gpu_index_with_foreign_topology_is_empty(shell: Shell) {
    let world = world(shell);
    world.kfd(&[Kfd::Cpu, Kfd::Refused, gpu(200)]);
    devices(&world, &[128, 129]);
    assert_eq!(told(&world, &[128, 129]), "");
}

fn gpu_index_is_empty_without_the_option(shell: Shell) {
    let world = world(shell);
    eight(&world, &[132]);
    let end = start(&world, &["--gpus=1"], &RAN).run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.is_silent();
    assert_eq!(world.read(ISOLATION), "");
}

/// Jobs pass both on to one container, and the name would be there twice.
fn gpu_index_is_empty_if_the_runner_sets_the_variable(shell: Shell) {
    let world = world(shell);
    eight(&world, &[132]);
    let end =
        start(&world, &["--gpus=1", "--rocr"], &["env"]).env("ROCR_VISIBLE_DEVICES", "0").run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert!(end.stdout.contains("ROCR_VISIBLE_DEVICES=0\n"), "{end:#?}");
    assert_eq!(world.read(ISOLATION), "");
    let end = start(&world, &["--gpus=1", "--rocr"], &["env"]).run();
    assert!(!end.stdout.contains("ROCR_VISIBLE_DEVICES"), "{end:#?}");
    assert_eq!(world.read(ISOLATION), "ROCR_VISIBLE_DEVICES=4\n");
}

fn gpu_index_of_cpu_runner_is_empty(shell: Shell) {
    let world = world(shell);
    eight(&world, &[132]);
    let end = start(&world, &["--gpus=0", "--rocr"], &RAN).run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.is_silent();
    assert_eq!(world.read(ISOLATION), "");
}

fn group_add_nodes_uses_the_nodes_groups(shell: Shell) {
    let world = world(shell);
    let kfd = std::fs::metadata(world.path("dev/kfd")).unwrap().gid();
    let gids = [world.node_of_group("renderD128", 993), world.node_of_group("renderD129", 993)];
    let more = world.node_of_group("renderD130", 992);
    let end = start(&world, &["--gpus=3", "--group-add=nodes"], &RAN).run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    let mut gids = vec![gids[0], more, kfd];
    gids.dedup();
    assert_render_devices(&world.path(DEVICES), &gids, &[128, 129, 130], None);
}
