//! `start.sh`: CPUs, and what it does to `/etc/group` (issue 7).

use crate::{
    consumers::{assert_render_devices, docker_cpu_flags, threads},
    start::{DEVICES, RAN, start, world},
    world::{Shell, World},
};

in_every_shell!(
    cpu_request_becomes_a_docker_flag,
    cpu_request_missing_writes_no_file_or_variable,
    cpu_request_invalid_is_reported_and_kept,
    cpuset_flag_is_written_with_the_option,
    groups_are_added_with_the_nodes_gids,
    groups_writable_file_needs_no_sudo,
    groups_second_start_adds_no_line,
    groups_existing_with_other_gid_is_kept_and_reported,
    groups_last_line_without_newline_is_kept,
    groups_without_sudo_are_missing_and_runner_starts,
    groups_hanging_sudo_is_not_waited_for,
    groups_missing_file_is_silent,
    groups_of_cpu_runner_are_unchanged,
);

const CPU_FLAGS: &str = "podinfo/gha-docker-cpu-flags";
const GROUP: &str = "root:x:0:\ndocker:x:123:runner\n";
const RENDER_GID: u32 = 110;
const VIDEO_GID: u32 = 44;

fn cpu_request_becomes_a_docker_flag(shell: Shell) {
    let world = world(shell);
    for (request, flag, count) in [("40", 40.0, "40"), ("11.5", 11.5, "11"), ("1", 1.0, "1")] {
        let end = start(&world, &["--gpus=0"], &["env"]).env("KUBE_CPU_REQUEST", request).run();
        assert_eq!(end.code, Some(0), "{end:#?}");
        end.is_silent();
        assert_eq!(world.read(CPU_FLAGS), format!("--cpus={request}\n"));
        assert_eq!(docker_cpu_flags(&world.path(CPU_FLAGS)), (Some(flag), None));
        assert_eq!(world.mode(CPU_FLAGS), 0o644);
        assert!(end.stdout.contains(&format!("KUBE_CPU_REQUEST={request}\n")), "{end:#?}");
        assert_eq!(threads(request), count);
    }
}

fn cpu_request_missing_writes_no_file_or_variable(shell: Shell) {
    let world = world(shell);
    world.write(CPU_FLAGS, "--cpus=7\n");
    let end = start(&world, &["--gpus=0"], &["env"]).env("KUBE_CPU_REQUEST", "0").run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.is_silent();
    assert!(!world.exists(CPU_FLAGS), "an old file is worse than none");
    assert!(!end.stdout.contains("KUBE_CPU_REQUEST"), "0 threads: {end:#?}");
    start(&world, &["--gpus=0"], &["env"]).run().is_silent();
    assert!(!world.exists(CPU_FLAGS));
}

fn cpu_request_invalid_is_reported_and_kept(shell: Shell) {
    let world = world(shell);
    for odd in ["", "25000m", "1.2.3", ".", "-1", "four", "1 --privileged"] {
        let end = start(&world, &["--gpus=0"], &["env"]).env("KUBE_CPU_REQUEST", odd).run();
        assert_eq!(end.code, Some(0), "{end:#?}");
        end.says(&format!("KUBE_CPU_REQUEST={odd} is no number of CPUs"));
        assert!(end.stdout.contains(&format!("KUBE_CPU_REQUEST={odd}\n")), "{end:#?}");
        assert!(!world.exists(CPU_FLAGS));
    }
}

fn cpuset_flag_is_written_with_the_option(shell: Shell) {
    let world = world(shell);
    world.folder("proc/self");
    world.write(
        "proc/self/status",
        "Name:\tsh\nCpus_allowed:\t7ff\nCpus_allowed_list:\t0-5,96-100\n",
    );
    world.nodes(&["renderD128"]);
    let options = ["--gpus=1", "--group-add=110", "--cpuset"];
    let end = start(&world, &options, &RAN).env("KUBE_CPU_REQUEST", "11").run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.is_silent();
    assert_render_devices(&world.path(DEVICES), &[110], &[128], Some("0-5,96-100"));
    let cpuset = || Some("0-5,96-100".to_owned());
    assert_eq!(docker_cpu_flags(&world.path(CPU_FLAGS)), (Some(11.0), cpuset()));
    start(&world, &options, &RAN).run().is_silent();
    assert_eq!(docker_cpu_flags(&world.path(CPU_FLAGS)), (None, cpuset()));
    start(&world, &options[..2], &RAN).run().is_silent();
    assert_render_devices(&world.path(DEVICES), &[110], &[128], None);
    assert!(!world.exists(CPU_FLAGS));
}

/// A node with one GPU, and `/etc/group` as an image has it: only root may write it.
fn grouped(shell: Shell, group: &str) -> (World, u32, u32) {
    let world = world(shell);
    world.folder("etc");
    world.write("etc/group", group);
    world.give_to_runner("etc/group");
    world.chmod("etc/group", 0o444);
    let render = world.node_of_group("renderD128", RENDER_GID);
    let video = world.node_of_group("card0", VIDEO_GID);
    (world, render, video)
}

/// A `sudo` that asks for no password.
fn sudo(world: &World) {
    world.program(
        "sudo",
        "[ \"$1\" = -n ] || exit 9; shift; chmod 644 \"$WORLD/etc/group\"; \"$@\"; s=$?; \
         chmod 444 \"$WORLD/etc/group\"; exit $s",
    );
}

#[track_caller]
fn starts(world: &World) -> crate::world::End {
    let end = start(world, &["--gpus=1"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    end
}

fn groups_are_added_with_the_nodes_gids(shell: Shell) {
    let (world, render, video) = grouped(shell, GROUP);
    sudo(&world);
    starts(&world).is_silent();
    assert_eq!(world.read("etc/group"), format!("{GROUP}render:x:{render}:\nvideo:x:{video}:\n"));
}

fn groups_writable_file_needs_no_sudo(shell: Shell) {
    let (world, render, video) = grouped(shell, GROUP);
    world.chmod("etc/group", 0o644);
    world.program("sudo", "exit 1");
    starts(&world).is_silent();
    assert_eq!(world.read("etc/group"), format!("{GROUP}render:x:{render}:\nvideo:x:{video}:\n"));
    assert_eq!(world.calls(), [""; 0]);
}

fn groups_second_start_adds_no_line(shell: Shell) {
    let (world, ..) = grouped(shell, GROUP);
    sudo(&world);
    starts(&world);
    let once = world.read("etc/group");
    starts(&world).is_silent();
    assert_eq!(world.read("etc/group"), once);
}

fn groups_existing_with_other_gid_is_kept_and_reported(shell: Shell) {
    // "rendering" is another word, and a group may have members.
    let group = "rendering:x:7:\nrender:x:109:runner\nvideo:x:4444:a,b\n";
    let (world, render, video) = grouped(shell, group);
    sudo(&world);
    let end = starts(&world);
    end.says(&format!(
        "/etc/group has render with GID 109, but /dev/dri/renderD128 is of {render}: "
    ));
    end.says(&format!("/etc/group has video with GID 4444, but /dev/dri/card0 is of {video}: "));
    assert_eq!((world.read("etc/group").as_str(), world.calls().len()), (group, 0));
}

fn groups_last_line_without_newline_is_kept(shell: Shell) {
    let (world, render, video) = grouped(shell, "root:x:0:");
    sudo(&world);
    starts(&world).is_silent();
    assert_eq!(
        world.read("etc/group"),
        format!("root:x:0:\nrender:x:{render}:\nvideo:x:{video}:\n")
    );
}

fn groups_without_sudo_are_missing_and_runner_starts(shell: Shell) {
    let (world, render, _) = grouped(shell, GROUP);
    let says = format!("cannot add render (GID {render}) to /etc/group without sudo");
    starts(&world).says(&says);
    world.program("sudo", "echo 'sudo: a password is required' >&2; exit 1");
    let end = starts(&world);
    end.says(&says);
    assert!(!end.stderr.contains("password"), "{end:#?}");
    assert_eq!(world.read("etc/group"), GROUP);
}

fn groups_hanging_sudo_is_not_waited_for(shell: Shell) {
    let (world, ..) = grouped(shell, "video:x:44:\n");
    world.program("timeout", "shift; exit 124");
    starts(&world).says("cannot add render");
    assert!(world.calls()[0].starts_with("timeout 5 sudo -n tee -a "), "{:?}", world.calls());
}

fn groups_missing_file_is_silent(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128", "card0"]);
    starts(&world).is_silent();
}

fn groups_of_cpu_runner_are_unchanged(shell: Shell) {
    let (world, ..) = grouped(shell, GROUP);
    sudo(&world);
    start(&world, &["--gpus=0"], &RAN).run().is_silent();
    assert_eq!(world.read("etc/group"), GROUP);
}
