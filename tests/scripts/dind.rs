//! `dind.sh`: the order in which it ends things, and what it never touches.

use std::{fs, os::unix::fs::symlink, time::Duration};

use arc_rocm::scripts::{DIND, DIND_NAME};

use crate::world::{End, Job, Script, Shell, World, alive, can_unshare};

/// All that the script needs of an image besides docker. `mount` is for a test.
const TOOLS: [&str; 6] = ["grep", "mkdir", "rm", "sleep", "xargs", "mount"];

/// A dockerd that runs until SIGTERM, and notes whether its data is still there then.
const DOCKERD: &str = r#"
    trap 'note TERM with $(echo "$WORLD"/data/*); kill $!; exit 0' TERM
    sleep 60 &
    echo $$ >"$WORLD/dockerd.pid"
    wait"#;

/// A docker CLI for a daemon with two containers.
const DOCKER: &str = r#"
    [ "$1" != info ] || exit 0
    note "DOCKER_HOST=${DOCKER_HOST-}"
    [ "$1" != ps ] || printf 'c1\nc2\n'"#;

/// The pod's.
const UID: &str = "0d1c6a1e-95a7-4f6e-a1f3-8c7f1c0f1a2b";
/// What the kubelet calls an emptyDir below the pod's directory.
const EMPTY_DIR: &str = "volumes/kubernetes.io~empty-dir/docker-data";

in_every_shell!(
    dind_sigterm_stops_containers_dockerd_and_deletes_data,
    dind_flags_reach_dockerd_through_the_entrypoint,
    dind_without_entrypoint_starts_dockerd,
    dind_without_containers_stops_none,
    dind_asks_docker_on_the_flags_socket,
    dind_removes_old_pid_files,
    dind_exits_with_the_status_of_dockerd,
    dind_fails_if_dockerd_exits_with_0,
    dind_sigterm_before_dockerd_is_up_exits_with_0,
    dind_hanging_docker_does_not_delay_sigterm,
    dind_keeps_data_if_dockerd_does_not_end,
    dind_second_sigterm_shortens_container_stop,
    dind_second_sigterm_shortens_dockerd_wait,
    dind_failing_docker_changes_nothing,
    dind_without_data_root_deletes_nothing,
    dind_data_root_slash_deletes_nothing,
    dind_data_root_with_odd_name_is_kept,
    dind_deletes_links_and_does_not_follow_them,
    dind_mount_in_the_data_root_keeps_it,
    dind_empties_only_what_the_pod_owns,
    dind_process_1_exits_with_0_and_leaves_nothing,
    dind_containers_go_below_the_pods_cgroup,
    dind_containers_go_below_the_pods_cgroup_v1,
    dind_sets_no_cgroup_parent_in_a_cgroup_namespace,
    dind_indivisible_cgroup_is_kept_and_reported,
    dind_cgroup_flags_of_the_template_are_kept,
    dind_dockerd_has_a_lower_oom_score_than_jobs,
    dind_docker_without_answer_exits_with_1,
    dind_docker_hanging_at_start_exits_with_1,
    dind_docker_is_not_asked_again_after_an_answer,
    dind_sigterm_while_asking_docker_ends_at_once,
);

fn world(shell: Shell) -> World {
    let world = World::new(shell, &TOOLS);
    for (file, content) in
        [("data/overlay2/l/x", "x"), ("data/.h", "x"), ("data/..h", "x"), ("data/a b", "x")]
    {
        fs::create_dir_all(world.path(file).parent().unwrap()).unwrap();
        world.write(file, content);
    }
    fs::create_dir_all(world.path("proc/self")).unwrap();
    world.write("proc/self/cgroup", "0::/\n");
    // As in a container whose data root is an emptyDir.
    let mountinfo = format!(
        "1 0 0:1 / / rw - overlay o rw\n\
         2 1 8:1 /var/lib/kubelet/pods/{UID}/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw\n\
         3 1 8:1 /var/lib/kubelet/pods/{UID}/{EMPTY_DIR} {} rw - ext4 /dev/sda1 rw\n",
        world.text("data")
    );
    world.write("proc/self/mountinfo", &mountinfo);
    world.program("dockerd", DOCKERD);
    world.program("docker", DOCKER);
    world
}

/// Flags under which nothing outside of the world is touched.
fn own_flags(world: &World) -> Vec<String> {
    let exec_root = format!("--exec-root={}", world.text("exec"));
    vec![exec_root, format!("--pidfile={}", world.text("docker.pid"))]
}

fn data_root(world: &World) -> String {
    format!("--data-root={}", world.text("data"))
}

fn dind<'a>(world: &'a World, flags: &[&str]) -> Script<'a> {
    changed(world, &DIND, flags)
}

/// With cgroups and files of the world, which has none unless a test makes them: this machine's
/// own are none of the script's business.
fn changed<'a>(world: &'a World, script: &str, flags: &[&str]) -> Script<'a> {
    let mut args = own_flags(world);
    args.extend(flags.iter().map(|&flag| flag.to_owned()));
    let paths = [
        "/sys/fs/cgroup",
        "/proc/self/cgroup",
        "/proc/self/mountinfo",
        "/proc/self/oom_score_adj",
        "/etc/docker",
    ];
    let script = world.with_paths(script, &paths);
    world.script(&script, DIND_NAME, &args)
}

/// The script with so many seconds for the step `name`, and how long that takes otherwise.
fn with_seconds(name: &str, seconds: u64) -> (String, Duration) {
    let (before, rest) = DIND.split_once(&format!("\n{name}=")).unwrap();
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap();
    let usual = Duration::from_secs(digits.parse().unwrap());
    (format!("{before}\n{name}={seconds} #{rest}"), usual)
}

/// The script with 1 s for a step that strikes, and what its end has to come before.
fn hasty(name: &str) -> (String, Duration) {
    with_seconds(name, 1)
}

/// The script with a minute for a step that must not strike: a test that waits for it fails.
fn lasting(name: &str) -> String {
    with_seconds(name, 60).0
}

/// What the script gives dockerd to answer.
const START_SECONDS: &str = "120";

/// Lets this, and not a clock, say when dockerd's time to answer is over.
fn start_seconds(world: &World, body: &str) {
    assert!(DIND.contains(&format!("\nSTART_SECONDS={START_SECONDS}\n")));
    let body = format!(
        "[ \"$1\" != {START_SECONDS} ] || {{ {body}; }}\nexec \"$WORLD/tools/sleep\" \"$@\""
    );
    world.program("sleep", &body);
}

/// For [`start_seconds`]: it is over as soon as dockerd is up, with its trap.
const UP_AND_OVER: &str =
    r#"until [ -s "$WORLD/dockerd.pid" ]; do "$WORLD/tools/sleep" 0.05; done; exit"#;

fn terminate(world: &World, job: Job<'_>) -> End {
    world.await_text("dockerd.pid", "\n");
    job.terminate();
    job.end()
}

/// The calls after dockerd's start.
fn calls_of_the_end(world: &World) -> Vec<String> {
    let calls = world.calls();
    let start = calls.iter().position(|call| call.starts_with("dockerd ")).unwrap();
    calls[start + 1..].iter().filter(|call| *call != "docker info").cloned().collect()
}

#[track_caller]
fn assert_kept(world: &World) {
    let names = ["data/overlay2/l/x", "data/.h", "data/..h", "data/a b"];
    assert!(names.iter().all(|name| world.exists(name)), "{:?}", world.calls());
}

fn dind_sigterm_stops_containers_dockerd_and_deletes_data(shell: Shell) {
    let world = world(shell);
    let host = "unix:///run/somewhere.sock";
    let host_flag = format!("--host={host}");
    let end = terminate(&world, dind(&world, &[&host_flag, &data_root(&world)]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.is_silent();
    let data = world.text("data");
    assert_eq!(
        calls_of_the_end(&world),
        [
            "docker ps -q",
            &format!("DOCKER_HOST={host}"),
            "docker stop -t 10 c1 c2",
            &format!("DOCKER_HOST={host}"),
            &format!("TERM with {data}/a b {data}/overlay2"),
        ]
    );
    assert_eq!(world.path("data").read_dir().unwrap().count(), 0, "the directory is a mount point");
}

const ODD_FLAGS: [&str; 6] =
    ["--group=123", "--label=two words", "--label=a\nb", "--label='\"$(id)\\", "*", ""];

/// Starts a dockerd that writes its flags down, and ends it. Returns the first call.
#[track_caller]
fn flags_arrive(world: &World) -> String {
    let body = format!("for flag; do printf '<%s>' \"$flag\"; done >\"$WORLD/flags\"\n{DOCKERD}");
    world.program("dockerd", &body);
    let end = terminate(world, dind(world, &ODD_FLAGS).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    let mut flags = own_flags(world);
    flags.extend(ODD_FLAGS.map(str::to_owned));
    assert_eq!(world.read("flags"), format!("<{}>", flags.join("><")));
    world.calls().into_iter().find(|call| call != "docker info").unwrap()
}

fn dind_flags_reach_dockerd_through_the_entrypoint(shell: Shell) {
    let world = world(shell);
    let body = "note \"TINI_SUBREAPER=${TINI_SUBREAPER-}\"; exec \"$@\"";
    world.program("dockerd-entrypoint.sh", body);
    let call = flags_arrive(&world);
    assert!(call.starts_with("dockerd-entrypoint.sh dockerd --exec-root="), "{call}");
    assert!(world.calls().contains(&"TINI_SUBREAPER=1".to_owned()), "{:?}", world.calls());
}

fn dind_without_entrypoint_starts_dockerd(shell: Shell) {
    let world = world(shell);
    let call = flags_arrive(&world);
    assert!(call.starts_with("dockerd --exec-root="), "{call}");
}

fn dind_without_containers_stops_none(shell: Shell) {
    let world = world(shell);
    world.program("docker", "");
    let end = terminate(&world, dind(&world, &[]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.is_silent();
    assert_eq!(calls_of_the_end(&world)[0], "docker ps -q");
    assert!(calls_of_the_end(&world)[1].starts_with("TERM with "));
}

fn dind_asks_docker_on_the_flags_socket(shell: Shell) {
    for (flags, env, asked) in [
        (&[][..], "unix:///from-env", "unix:///from-env"),
        (&["--host=tcp://0.0.0.0:2375", "--host=unix:///a", "--host=unix:///b"], "", "unix:///a"),
        (&["--host=unix:///a"], "unix:///from-env", "unix:///a"),
    ] {
        let world = world(shell);
        let end = terminate(&world, dind(&world, flags).env("DOCKER_HOST", env).start());
        assert_eq!(end.code, Some(0), "{end:#?}");
        assert_eq!(calls_of_the_end(&world)[1], format!("DOCKER_HOST={asked}"));
    }
}

fn dind_removes_old_pid_files(shell: Shell) {
    let world = world(shell);
    fs::create_dir_all(world.path("exec/containerd")).unwrap();
    world.write("docker.pid", "1");
    world.write("exec/containerd/containerd.pid", "1");
    let stale = r#"for pid in docker.pid exec/containerd/containerd.pid; do
        [ ! -e "$WORLD/$pid" ] || note "stale $pid"
    done"#;
    world.program("dockerd", &format!("{stale}\n{DOCKERD}"));
    let end = terminate(&world, dind(&world, &[]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert!(!world.calls().iter().any(|call| call.starts_with("stale")), "{:?}", world.calls());
}

fn dind_exits_with_the_status_of_dockerd(shell: Shell) {
    let world = world(shell);
    world.program("dockerd", "echo 'failed to start daemon' >&2; exit 3");
    let end = dind(&world, &[&data_root(&world)]).run();
    assert_eq!(end.code, Some(3), "{end:#?}");
    end.says("failed to start daemon");
    end.says("arc-rocm-dind: dockerd ended by itself with status 3");
    assert_kept(&world);
}

fn dind_fails_if_dockerd_exits_with_0(shell: Shell) {
    let world = world(shell);
    world.program("dockerd", "");
    let end = dind(&world, &[&data_root(&world)]).run();
    assert_eq!(end.code, Some(1), "{end:#?}");
    end.says("dockerd ended by itself with status 0");
    assert_kept(&world);
}

fn dind_sigterm_before_dockerd_is_up_exits_with_0(shell: Shell) {
    let world = world(shell);
    // The entrypoint still probes iptables, and has no trap; no socket answers.
    world
        .program("dockerd-entrypoint.sh", "echo $$ >\"$WORLD/dockerd.pid\"; sleep 60; exec \"$@\"");
    world.program("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1");
    let end = terminate(&world, dind(&world, &[&data_root(&world)]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert!(!end.stderr.contains("in time"), "no step takes all of its time: {end:#?}");
    assert!(!alive(&world.read("dockerd.pid")));
    assert!(!world.calls().iter().any(|call| call.starts_with("dockerd ")));
}

fn dind_hanging_docker_does_not_delay_sigterm(shell: Shell) {
    let world = world(shell);
    world.program("docker", "exec sleep 60");
    let (script, usual) = hasty("STOP_SECONDS");
    let end = terminate(&world, changed(&world, &script, &[&data_root(&world)]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.says("containers did not stop in time");
    assert_eq!(world.path("data").read_dir().unwrap().count(), 0);
    assert!(end.took < usual, "{end:#?}");
}

fn dind_keeps_data_if_dockerd_does_not_end(shell: Shell) {
    let world = world(shell);
    world.program("dockerd", "trap '' TERM; echo $$ >\"$WORLD/dockerd.pid\"; exec sleep 60");
    let (script, usual) = hasty("DAEMON_SECONDS");
    let end = terminate(&world, changed(&world, &script, &[&data_root(&world)]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.says("dockerd did not end in time, data root is kept");
    assert_kept(&world);
    assert!(end.took < usual, "{end:#?}");
}

fn dind_second_sigterm_shortens_container_stop(shell: Shell) {
    let world = world(shell);
    let body = "case $1 in info) exit ;; ps) echo c1; exit ;; esac; exec sleep 60";
    world.program("docker", body);
    let job = changed(&world, &lasting("STOP_SECONDS"), &[&data_root(&world)]).start();
    world.await_text("dockerd.pid", "\n");
    job.terminate();
    world.await_call("docker stop -t 10 c1");
    job.terminate();
    let end = job.end();
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert!(world.calls().last().unwrap().starts_with("TERM with "), "{:?}", world.calls());
    assert_eq!(world.path("data").read_dir().unwrap().count(), 0);
}

fn dind_second_sigterm_shortens_dockerd_wait(shell: Shell) {
    let world = world(shell);
    let body = "trap 'note got TERM' TERM; echo $$ >\"$WORLD/dockerd.pid\"
        while :; do sleep 60 & wait $!; done";
    world.program("dockerd", body);
    let job = changed(&world, &lasting("DAEMON_SECONDS"), &[&data_root(&world)]).start();
    world.await_text("dockerd.pid", "\n");
    job.terminate();
    world.await_call("got TERM");
    job.terminate();
    let end = job.end();
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.says("dockerd did not end in time, data root is kept");
    assert_kept(&world);
}

fn dind_failing_docker_changes_nothing(shell: Shell) {
    let world = world(shell);
    fs::remove_file(world.path("programs/docker")).unwrap();
    let end = terminate(&world, dind(&world, &[&data_root(&world)]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!(world.path("data").read_dir().unwrap().count(), 0);
}

fn dind_without_data_root_deletes_nothing(shell: Shell) {
    let world = world(shell);
    world.program("rm", "");
    for flags in
        [&[][..], &["--data-root="], &["--data-root=data"], &["--data-root", &world.text("data")]]
    {
        let end = terminate(&world, dind(&world, flags).start());
        assert_eq!(end.code, Some(0), "{end:#?}");
        fs::remove_file(world.path("dockerd.pid")).unwrap();
    }
    assert!(!world.calls().iter().any(|call| call.starts_with("rm -rf")), "{:?}", world.calls());
    assert_kept(&world);
}

fn dind_data_root_slash_deletes_nothing(shell: Shell) {
    let world = world(shell);
    // In place of the real one, should the script ever come that far: in bash `cd //; pwd -P`
    // says `//`.
    world.program("rm", "");
    symlink("/", world.path("link")).unwrap();
    for dir in ["/", "//", "/.", "/proc/..", &world.text("link"), &world.text("missing")] {
        let end = terminate(&world, dind(&world, &[&format!("--data-root={dir}")]).start());
        assert_eq!(end.code, Some(0), "{end:#?}");
        fs::remove_file(world.path("dockerd.pid")).unwrap();
    }
    assert!(!world.calls().iter().any(|call| call.starts_with("rm -rf")), "{:?}", world.calls());
}

/// Its mounts could not be told from the lines of mountinfo, which escapes such names.
fn dind_data_root_with_odd_name_is_kept(shell: Shell) {
    let world = world(shell);
    fs::rename(world.path("data"), world.path("my data")).unwrap();
    let flag = format!("--data-root={}", world.text("my data"));
    let end = terminate(&world, dind(&world, &[&flag]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.says("not cleaning data root");
    assert!(world.exists("my data/overlay2/l/x"));
}

fn dind_deletes_links_and_does_not_follow_them(shell: Shell) {
    let world = world(shell);
    fs::create_dir(world.path("models")).unwrap();
    world.write("models/weights", "x");
    symlink(world.path("models"), world.path("data/models")).unwrap();
    let end = terminate(&world, dind(&world, &[&data_root(&world)]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!(world.path("data").read_dir().unwrap().count(), 0);
    assert!(world.exists("models/weights"));
}

fn dind_mount_in_the_data_root_keeps_it(shell: Shell) {
    let flags = ["--user", "--map-root-user", "--mount"];
    if !can_unshare(&flags) {
        return;
    }
    let world = world(shell);
    fs::create_dir_all(world.path("models")).unwrap();
    world.write("models/weights", "x");
    fs::create_dir_all(world.path("data/volumes/models/_data")).unwrap();
    let bind = r#"mount --bind "$WORLD/models" "$WORLD/data/volumes/models/_data""#;
    world.program("dockerd", &format!("{bind}\n{DOCKERD}"));
    let script = changed(&world, &with_real_mounts(&world), &[&data_root(&world)]);
    let end = terminate(&world, script.behind(&[&["unshare"][..], &flags].concat()).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.says("data/volumes/models/_data is mounted");
    assert!(world.exists("models/weights"));
    assert_kept(&world);
}

/// The script with the mounts that its process really has.
fn with_real_mounts(world: &World) -> String {
    symlink("/proc/self", world.path("proc/process")).unwrap();
    fs::remove_file(world.path("proc/self/mountinfo")).unwrap();
    symlink("../process/mountinfo", world.path("proc/self/mountinfo")).unwrap();
    DIND.clone()
}

/// With real mounts: `node/` has what is on the node, mounted as the kubelet and the runtime do it.
fn dind_empties_only_what_the_pod_owns(shell: Shell) {
    let flags = ["--user", "--map-root-user", "--mount"];
    if !can_unshare(&flags) {
        return;
    }
    let pod = "linux-mi300-2gpu-x7k2p-runner-q9w8e";
    let own = format!("pods/{UID}/{EMPTY_DIR}");
    let others = format!("pods/11111111-95a7-4f6e-a1f3-8c7f1c0f1a2b/{EMPTY_DIR}");
    let by_name = format!("mnt/nvme/{pod}-docker");
    for (on_node, mounted_at, name, is_emptied) in [
        (own.as_str(), "data", "", true),
        // A directory below the mount.
        (own.as_str(), "", "", true),
        // subPathExpr: $(POD_NAME)-docker
        (by_name.as_str(), "data", pod, true),
        (by_name.as_str(), "data", "linux-mi300-2gpu-x7k2p-runner-aaaaa", false),
        (by_name.as_str(), "data", "", false),
        // hostPath, PVC, NFS, CSI: without anything of the pod's.
        ("mnt/models", "data", pod, false),
        ("mnt/models", "", pod, false),
        (others.as_str(), "data", pod, false),
    ] {
        let world = world(shell);
        let node = format!("node/{on_node}");
        fs::create_dir_all(world.path(&node)).unwrap();
        let files = if mounted_at == "data" { node.clone() } else { format!("{node}/docker") };
        fs::rename(world.path("data"), world.path(&files)).unwrap();
        fs::create_dir_all(world.path("data")).unwrap();
        fs::create_dir_all(world.path(&format!("node/pods/{UID}"))).unwrap();
        world.write(&format!("node/pods/{UID}/etc-hosts"), "");
        // An emptyDir below, over which the other is mounted.
        fs::create_dir_all(world.path(&format!("node/pods/{UID}/{EMPTY_DIR}"))).unwrap();
        let root = if mounted_at == "data" { "data" } else { "data/docker" };
        let mounts = format!(
            r#"mount --bind "$WORLD/node/pods/{UID}/etc-hosts" /etc/hosts
            mount --bind "$WORLD/node/pods/{UID}/{EMPTY_DIR}" "$WORLD/data"
            mount --bind "$WORLD/{node}" "$WORLD/data""#
        );
        world.program("dockerd", &format!("{mounts}\n{DOCKERD}"));
        let flag = format!("--data-root={}", world.text(root));
        let script = changed(&world, &with_real_mounts(&world), &[&flag]).env("POD_NAME", name);
        let end = terminate(&world, script.behind(&[&["unshare"][..], &flags].concat()).start());
        assert_eq!(end.code, Some(0), "{end:#?}");
        let left = world.path(&files).read_dir().unwrap().count();
        assert_eq!(left, if is_emptied { 0 } else { 4 }, "{on_node} {name}: {end:#?}");
        if is_emptied {
            end.is_silent();
        } else {
            end.says("it may outlive this pod");
        }
    }
}

fn dind_process_1_exits_with_0_and_leaves_nothing(shell: Shell) {
    let flags = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child=KILL"];
    if !can_unshare(&flags) {
        return;
    }
    let world = world(shell);
    let script = dind(&world, &[&data_root(&world)]);
    let job = script.behind(&[&["unshare"][..], &flags].concat()).start();
    world.await_text("dockerd.pid", "\n");
    job.terminate_child();
    let end = job.end();
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.is_silent();
    assert!(world.calls().last().unwrap().starts_with("TERM with "), "{:?}", world.calls());
    assert_eq!(world.path("data").read_dir().unwrap().count(), 0);
}

/// The flag `--cgroup-parent` that dockerd gets, if any, and what else the script said.
#[track_caller]
fn cgroup_parent(world: &World, flags: &[&str]) -> (Option<String>, End) {
    let end = terminate(world, dind(world, flags).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    let call = world.calls().into_iter().find(|call| call.starts_with("dockerd ")).unwrap();
    let mut words = call.split(' ');
    (words.rfind(|word| word.starts_with("--cgroup-parent")).map(str::to_owned), end)
}

const OWN: &str = "kubepods.slice/kubepods-burstable-pod1.slice/cri-containerd-2.scope";

/// A world on a node with cgroup v2, as a privileged container sees it: all of the node's.
fn version_2(shell: Shell) -> World {
    let world = world(shell);
    world.write("proc/self/cgroup", &format!("0::/{OWN}\n"));
    let own = format!("sys/fs/cgroup/{OWN}");
    fs::create_dir_all(world.path(&own)).unwrap();
    world.write("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
    world.write(&format!("{own}/cgroup.controllers"), "cpu memory pids\n");
    world.write(&format!("{own}/cgroup.procs"), "17\n");
    world.write(&format!("{own}/memory.oom.group"), "1\n");
    world
}

/// Issue 7: containers that land outside of the pod are not bound by its limits.
fn dind_containers_go_below_the_pods_cgroup(shell: Shell) {
    let world = version_2(shell);
    let (parent, end) = cgroup_parent(&world, &[]);
    assert_eq!(parent.unwrap(), format!("--cgroup-parent=/{OWN}/docker"));
    end.is_silent();
    let own = |file: &str| world.read(&format!("sys/fs/cgroup/{OWN}/{file}"));
    assert_eq!(own("init/cgroup.procs"), "17\n", "a cgroup with processes cannot be divided");
    assert_eq!(own("cgroup.subtree_control").trim(), "+cpu +memory +pids");
    assert_eq!(own("memory.oom.group"), "0\n", "a job that runs out of memory ends alone");
    assert!(!world.exists("sys/fs/cgroup/init"), "the node's own are not ours");
}

fn dind_containers_go_below_the_pods_cgroup_v1(shell: Shell) {
    let world = world(shell);
    let lines = "9:name=systemd:/x\n5:cpu,cpuacct:/y\n4:memory:/kubepods/pod1/2\n0::/z\n";
    world.write("proc/self/cgroup", lines);
    fs::create_dir_all(world.path("sys/fs/cgroup/memory/kubepods/pod1/2")).unwrap();
    let (parent, end) = cgroup_parent(&world, &[]);
    assert_eq!(parent.unwrap(), "--cgroup-parent=/kubepods/pod1/2/docker");
    end.is_silent();
}

fn dind_sets_no_cgroup_parent_in_a_cgroup_namespace(shell: Shell) {
    for (cgroup, made) in [
        ("4:memory:/kubepods/pod1/2\n0::/z\n", "memory/docker"),
        ("0::/\n", "init"),
        ("0::/../../kubepods/pod1/2\n", "init"),
        ("", "init"),
    ] {
        let world = world(shell);
        world.write("proc/self/cgroup", cgroup);
        fs::create_dir_all(world.path("sys/fs/cgroup").join(made)).unwrap();
        if made == "init" {
            world.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
        }
        let (parent, end) = cgroup_parent(&world, &[]);
        assert_eq!(parent, None, "{cgroup}");
        end.is_silent();
    }
}

fn dind_indivisible_cgroup_is_kept_and_reported(shell: Shell) {
    let world = version_2(shell);
    let control = world.path(&format!("sys/fs/cgroup/{OWN}/cgroup.subtree_control"));
    symlink("/dev/full", control).unwrap();
    let (parent, end) = cgroup_parent(&world, &[]);
    assert_eq!(parent, None);
    end.says("containers are not bound by the pod's limits");
}

/// dockerd would refuse to start with two.
fn dind_cgroup_flags_of_the_template_are_kept(shell: Shell) {
    for flag in ["--cgroup-parent=/own", "--exec-opt=native.cgroupdriver=systemd"] {
        let world = version_2(shell);
        let (parent, _) = cgroup_parent(&world, &[flag]);
        assert!(parent.is_none_or(|parent| parent == flag));
        assert!(!world.exists(&format!("sys/fs/cgroup/{OWN}/init")));
    }
    for (file, flag) in
        [("etc/docker/daemon.json", None), ("other.json", Some("--config-file=other.json"))]
    {
        let world = version_2(shell);
        fs::create_dir_all(world.path("etc/docker")).unwrap();
        world.write(file, "{\"cgroup-parent\": \"/own\"}");
        let flags: Vec<&str> = flag.into_iter().collect();
        assert_eq!(cgroup_parent(&world, &flags).0, None, "{file}");
    }
}

fn dind_dockerd_has_a_lower_oom_score_than_jobs(shell: Shell) {
    let world = world(shell);
    world.write("proc/self/oom_score_adj", "999\n");
    assert_eq!(cgroup_parent(&world, &[]).0, None);
    assert_eq!(world.read("proc/self/oom_score_adj"), "-500\n");
}

/// The pod would stay pending for ever, and ARC has no limit for that. A failed init container it
/// notices.
fn dind_docker_without_answer_exits_with_1(shell: Shell) {
    let world = world(shell);
    world.program("docker", "[ \"$1\" != info ] || exit 1");
    start_seconds(&world, UP_AND_OVER);
    let end = dind(&world, &[&data_root(&world)]).run();
    assert_eq!(end.code, Some(1), "{end:#?}");
    end.says(&format!("docker does not answer after {START_SECONDS} s, giving up"));
    assert!(calls_of_the_end(&world).iter().any(|call| call.starts_with("TERM with ")));
    assert_kept(&world);
}

fn dind_docker_hanging_at_start_exits_with_1(shell: Shell) {
    let world = world(shell);
    world.program("docker", "[ \"$1\" != info ] || exec sleep 60");
    start_seconds(&world, UP_AND_OVER);
    let end = dind(&world, &[]).run();
    assert_eq!(end.code, Some(1), "{end:#?}");
}

/// A daemon that a job keeps busy may take its time.
fn dind_docker_is_not_asked_again_after_an_answer(shell: Shell) {
    let world = world(shell);
    // It answers once, and not before its time to answer has begun.
    let body = r#"[ ! -e "$WORLD/up" ] || exit 1
        until [ -s "$WORLD/clock.pid" ]; do "$WORLD/tools/sleep" 0.05; done
        : >"$WORLD/up""#;
    world.program("docker", body);
    start_seconds(&world, "echo $$ >\"$WORLD/clock.pid\"; exec \"$WORLD/tools/sleep\" 60");
    let job = dind(&world, &[]).start();
    world.await_text("dockerd.pid", "\n");
    world.await_text("clock.pid", "\n");
    world.await_end("clock.pid");
    // A second question would come within half a second. Two more checks of dockerd are a second apart.
    let looks = || world.calls().iter().filter(|call| *call == "sleep 1").count();
    let end = looks() + 2;
    world.await_so("two more looks at dockerd", || looks() >= end);
    job.terminate();
    let end = job.end();
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!(world.calls().iter().filter(|call| *call == "docker info").count(), 1);
}

fn dind_sigterm_while_asking_docker_ends_at_once(shell: Shell) {
    let world = world(shell);
    world.program("docker", "[ \"$1\" != info ] || exec sleep 60");
    let job = dind(&world, &[]).start();
    world.await_call("docker info");
    world.await_text("dockerd.pid", "\n");
    job.terminate();
    let end = job.end();
    assert_eq!(end.code, Some(0), "{end:#?}");
    // Steps that take all of their time say so.
    end.is_silent();
}
